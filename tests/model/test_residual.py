from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from ghosttrack_cli.errors import ModelError, UsageError
from ghosttrack_cli.model.identity import ModelIdentity
from ghosttrack_cli.model.loading import LoadedModel
from ghosttrack_cli.model.residual import GPT2WithResidualHooks, ResidualModel
from ghosttrack_cli.settings.schema import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor
    from transformers import PreTrainedModel

FAMILIES = (
    "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "phi", "opt"
)  # fmt: skip
PATHS = {"gpt2": "transformer.h", "gpt_neox": "gpt_neox.layers", "opt": "model.decoder.layers"}
B, T = 3, 9
IDENTITY = ModelIdentity("random", None, "gpt2", "0" * 64, "0" * 64, (256,))


def wrap(model: PreTrainedModel) -> ResidualModel:
    return ResidualModel(LoadedModel(model, None, IDENTITY, max_context=32))  # type: ignore[arg-type]


def plain_block_outputs(model: PreTrainedModel, family: str, **inputs: Any) -> list[Tensor]:
    """What each block of the untouched model returns in a full forward pass."""
    outputs: list[Tensor] = []

    def keep(_block: object, _inputs: object, output: Any) -> None:
        outputs.append((output[0] if isinstance(output, tuple) else output).clone())

    blocks = model.get_submodule(PATHS.get(family, "model.layers"))
    handles = [block.register_forward_hook(keep) for block in blocks.children()]
    with torch.no_grad():
        model(**inputs, use_cache=False)
    for handle in handles:
        handle.remove()
    return outputs


def token_ids() -> Tensor:
    return torch.randint(0, 256, (B, T), generator=torch.Generator().manual_seed(1))


def padding_mask(side: str) -> Tensor:
    mask = torch.ones(B, T, dtype=torch.int64)
    if side == "right":
        mask[0, -3:] = 0
        mask[2, -1:] = 0
    else:
        mask[0, :3] = 0
        mask[2, :1] = 0
    return mask


@pytest.mark.parametrize("padding", ["none", "right", "left"])
@pytest.mark.parametrize("family", FAMILIES)
def test_residuals_equal_the_blocks_of_the_plain_model(
    family: str, padding: str, make_random_model: Callable[..., PreTrainedModel]
) -> None:
    ids, mask = token_ids(), None if padding == "none" else padding_mask(padding)
    plain = plain_block_outputs(
        make_random_model(family), family, input_ids=ids, attention_mask=mask
    )
    model = wrap(make_random_model(family))
    for layers in [(0, 1, 2), (1,), (2,), (0, 2)]:
        streams = model.residuals(ids, layers, mask)
        assert tuple(streams) == layers
        for layer in layers:
            stream = streams[layer]
            assert stream.shape == (B, T, model.d_model)
            torch.testing.assert_close(stream, plain[layer], rtol=1e-5, atol=1e-5)


def test_the_last_stream_is_without_the_final_norm(
    make_random_model: Callable[..., PreTrainedModel],
) -> None:
    plain: Any = make_random_model("llama")
    with torch.no_grad():
        hidden = plain(token_ids(), output_hidden_states=True).hidden_states[-1]
    stream = wrap(plain).residuals(token_ids(), [2])[2]
    assert not torch.allclose(stream, hidden, atol=0.1)
    torch.testing.assert_close(plain.base_model.norm(stream), hidden)


def test_the_forward_pass_ends_after_the_last_layer_asked(
    make_random_model: Callable[..., PreTrainedModel],
) -> None:
    model = wrap(make_random_model("gpt2"))
    ran: list[int] = []
    for index, block in enumerate(model.blocks.children()):
        block.register_forward_pre_hook(lambda *_, index=index: ran.append(index))
    model.residuals(token_ids(), [1])
    assert ran == [0, 1]


def test_hooks_go_also_when_the_forward_pass_fails(
    make_random_model: Callable[..., PreTrainedModel],
) -> None:
    model = wrap(make_random_model("gpt2"))
    with pytest.raises(IndexError):
        model.residuals(torch.full((1, 4), 10_000), [0, 1])
    assert not any(block._forward_hooks for block in model.blocks.children())


@pytest.mark.parametrize("layer", [-1, 3, 10**9])
def test_a_layer_out_of_range_is_named_with_the_valid_range(
    layer: int, make_random_model: Callable[..., PreTrainedModel]
) -> None:
    with pytest.raises(UsageError, match=rf"{layer}, must be 0 to 2"):
        wrap(make_random_model("gpt2")).residuals(token_ids(), [0, layer])


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "llama", "opt"])
def test_logits_are_the_plain_model_s_until_a_stream_is_replaced(
    family: str, make_random_model: Callable[..., PreTrainedModel]
) -> None:
    plain, model = make_random_model(family), wrap(make_random_model(family))
    with torch.no_grad():
        expected = plain(token_ids()).logits
    torch.testing.assert_close(model.logits(token_ids()), expected, rtol=1e-4, atol=1e-4)
    same = model.logits(token_ids(), layer=1, replace=lambda stream: stream.clone())
    torch.testing.assert_close(same, expected, rtol=1e-4, atol=1e-4)
    other = model.logits(token_ids(), layer=1, replace=torch.zeros_like)
    assert not torch.allclose(other, expected, atol=1e-2)


def test_replacing_the_last_stream_determines_the_logits(
    make_random_model: Callable[..., PreTrainedModel],
) -> None:
    model = wrap(make_random_model("llama"))
    stream = torch.randn(B, T, 16)
    logits = model.logits(token_ids(), layer=2, replace=lambda _: stream)
    plain: Any = model.model
    torch.testing.assert_close(logits, plain.lm_head(plain.base_model.norm(stream)))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_folded_unembedding_gives_the_logits_up_to_the_norm(
    family: str, make_random_model: Callable[..., PreTrainedModel]
) -> None:
    plain = make_random_model(family)
    for name, parameter in plain.named_parameters():
        if parameter.dim() == 1 and name.endswith("weight"):
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
        elif parameter.dim() == 1:
            torch.nn.init.zeros_(parameter)
    model = wrap(plain)
    scale, W = model.unembed()
    stream = torch.randn(1, T, 16)
    logits = model.logits(token_ids()[:1], layer=2, replace=lambda _: stream)
    if family == "gemma2":  # caps its logits by a tanh
        logits = 30 * torch.atanh(logits / 30)
    assert scale.shape == (16,)
    cosine = torch.nn.functional.cosine_similarity(stream @ W.T, logits, dim=-1)
    torch.testing.assert_close(cosine, torch.ones(1, T), rtol=0, atol=1e-4)


def test_a_model_that_is_no_decoder_is_refused(
    make_random_model: Callable[..., PreTrainedModel],
) -> None:
    with pytest.raises(ModelError, match="bert is an encoder: it reads text in both"):
        wrap(make_random_model("bert", is_decoder=True))


def test_loading_from_a_folder(tiny_model: Path) -> None:
    model = ResidualModel.load(ModelSettings(name=str(tiny_model), device="cpu"))
    assert (model.n_layers, model.d_model, model.vocab_size) == (3, 16, 257)
    assert (model.max_context, model.dtype) == (32, torch.float32)
    assert (model.device.type, model.identity.special_token_ids) == ("cpu", (256,))


def test_the_seed_s_name_loads_a_model_by_its_constructor(tiny_model: Path) -> None:
    model = GPT2WithResidualHooks(str(tiny_model), device="cpu")
    assert isinstance(model, ResidualModel)
    assert model.residuals(token_ids(), [1])[1].shape == (B, T, 16)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_model_computes_in_the_dtype_asked(dtype: str, tiny_model: Path) -> None:
    model = ResidualModel.load(
        ModelSettings.model_validate({"name": str(tiny_model), "device": "cpu", "dtype": dtype})
    )
    assert model.residuals(token_ids(), [0])[0].dtype == getattr(torch, dtype)
