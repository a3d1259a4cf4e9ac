"""What promotes what, where a norm, a factor or a cap could be taken for another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.model.architectures import check_promoted
from tests.model.test_residual import wrap
from tests.model.tiny import tiny_model
from torch import nn

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.interpretation.features.weight_directions import promoted_tokens
from ghosttrack_cli.model.weights import settled
from ghosttrack_cli.site import Site


def shaken(model_type: str, **changes: Any) -> Any:
    """A tiny model whose norms, which would all be the same, differ."""
    model = tiny_model(model_type, **changes)
    random = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += torch.rand(parameter.shape, generator=random)
    return settled(model)


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("granite", {"logits_scaling": 8.0, "residual_multiplier": 0.3}),
        ("cohere", {"logit_scale": 0.0625}),
        ("gemma2", {"final_logit_softcapping": 2.0}),
        ("falcon_h1", {"lm_head_multiplier": 0.02}),
        ("minicpm3", {"hidden_size": 32}),
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"tie_word_embeddings": False}),
        ("gpt2", {"tie_word_embeddings": False}),
        ("opt", {"word_embed_proj_dim": 16}),
        ("opt", {"word_embed_proj_dim": 16, "do_layer_norm_before": False}),
        ("phi", {}),
        ("lfm2", {}),
        ("qwen3_next", {}),
    ],
)
def test_factors_caps_and_projections(model_type: str, changes: dict[str, Any]) -> None:
    model = wrap(shaken(model_type, **changes))
    check_promoted(model, model.unembed()[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("model_type", "norm", "shift"),
    [
        ("gpt2", "transformer.ln_f", 0),
        ("llama", "model.norm", 0),
        ("gemma", "model.norm", 1),
        ("qwen3_next", "model.norm", 1),
        ("lfm2", "model.embedding_norm", 0),
        ("phi", "model.final_layernorm", 0),
    ],
)
def test_the_scale_has_the_digits_of_the_norm_s_weight(
    model_type: str, norm: str, shift: int, dtype: torch.dtype
) -> None:
    plain = shaken(model_type).to(dtype)
    scale, unembedding = wrap(plain).unembed()
    weight = plain.get_submodule(norm).weight.detach()
    assert torch.equal(scale, weight + shift if shift else weight)
    folded = plain.get_output_embeddings().weight.detach() * scale
    centred = folded - folded.mean(dim=-1, keepdim=True)
    assert torch.equal(unembedding, centred if model_type in {"gpt2", "phi"} else folded)


class Strange(nn.Module):
    """A final norm under no known name, with a scale of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.linspace(-0.4, 0.4, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * (2 - self.gain).exp()


def test_a_norm_that_nobody_knows_is_measured() -> None:
    plain = shaken("llama")
    plain.model.norm = Strange(32)
    model = wrap(plain)
    scale, unembedding = model.unembed()
    expected = (2 - plain.model.norm.gain.detach()).exp()
    torch.testing.assert_close(scale / scale.norm(), expected / expected.norm())
    check_promoted(model, unembedding)


class Negated(nn.Module):
    """Logits in the opposite order."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def __call__(self, *args: Any, **words: Any) -> Any:
        output = self.model(*args, **words)
        output.logits = -output.logits
        return output


def test_logits_in_another_order_have_no_lens(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wrap(shaken("llama"))
    monkeypatch.setattr(model, "_run", lambda module, ids, mask: Negated(module)(input_ids=ids))
    with pytest.raises(ModelError, match="not in the order of its output projection"):
        model.unembed()


def test_a_head_that_is_more_than_a_norm_has_no_lens() -> None:
    plain = shaken("llama")
    plain.model.norm = nn.Sequential(nn.Linear(32, 32), nn.GELU(), plain.model.norm)
    model = wrap(plain)
    with pytest.raises(ModelError, match="more than a norm between"):
        model.unembed()
    promoted, suppressed, why = promoted_tokens(torch.eye(32)[:3], model, Site(0))
    assert promoted.indices.shape == suppressed.values.shape == (3, 0)
    assert why == (
        "cannot tell which tokens features promote: llama: there is more than a norm"
        " between its last block and its logits"
    )


def test_a_model_of_several_projections_has_no_lens(monkeypatch: pytest.MonkeyPatch) -> None:
    model = wrap(shaken("llama"))
    heads = nn.ModuleList([nn.Linear(32, 99), nn.Linear(32, 99)])
    monkeypatch.setattr(model.model, "get_output_embeddings", lambda: heads)
    with pytest.raises(ModelError, match="it has no single output projection"):
        model.unembed()


def test_tokens_that_are_never_said_are_never_promoted() -> None:
    plain = shaken("llama")
    forward = plain.forward

    def masked(*args: Any, **words: Any) -> Any:
        output = forward(*args, **words)
        output.logits[..., 40:60] = torch.finfo(output.logits.dtype).min
        return output

    plain.forward = masked
    _, unembedding = wrap(plain).unembed()
    assert len({tuple(row) for row in unembedding[40:60].tolist()}) == 1
    said = torch.cat([unembedding[:40], unembedding[60:]])
    torch.testing.assert_close(unembedding[40], said.mean(dim=0))
