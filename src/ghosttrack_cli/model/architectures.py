"""Where each family of decoders keeps its blocks, its final norm and its unembedding.

The residual stream after block l (hook point resid_post) is what block l returns. Families differ
only in names, so that a short list of them finds GPT-2, GPT-NeoX, Llama, Mistral, Qwen, Gemma, Phi,
OPT and most others that were built after them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from ghosttrack_cli.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

DECODERS = ("", "decoder")
BLOCKS = ("h", "layers", "blocks")
FINAL_NORMS = ("ln_f", "norm", "final_layer_norm", "final_layernorm", "norm_f")
SCALES_BY_ONE_PLUS_WEIGHT = ("GemmaRMSNorm", "Gemma2RMSNorm", "Gemma3RMSNorm")
SUPPORTED = "GPT-2, GPT-NeoX, Llama, Mistral, Qwen, Gemma, Phi and OPT are supported"


@dataclass(frozen=True)
class DecoderParts:
    """The parts of a decoder-only model that the residual stream passes."""

    body: nn.Module
    """all but the unembedding: called with token ids"""
    blocks: nn.ModuleList
    final_norm: nn.Module | None
    """None where the blocks themselves end in a norm (OPT-350m)"""
    project_out: nn.Module | None
    """from d_model to a narrower embedding (OPT-350m)"""
    unembedding: nn.Module


def find_parts(model: PreTrainedModel) -> DecoderParts:
    """Find the parts of `model` by the names that its family uses.

    Raises:
        ModelError: no list of as many blocks as the configuration says.
    """
    body = model.base_model
    unembedding = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    for path in DECODERS:
        decoder = getattr(body, path, None) if path else body
        blocks = _first(decoder, BLOCKS)
        if isinstance(blocks, nn.ModuleList) and len(blocks) == n_layers_of(model):
            return DecoderParts(
                body,
                blocks,
                _first(decoder, FINAL_NORMS),
                _first(decoder, ("project_out",)),
                unembedding,
            )
    raise ModelError(
        f"no decoder blocks found: {type(model).__name__} is not a known decoder-only model",
        hint=SUPPORTED,
    )


def n_layers_of(model: PreTrainedModel) -> int:
    """The number of blocks that the configuration says."""
    return int(model.config.get_text_config().num_hidden_layers)


def _first(module: nn.Module | None, names: tuple[str, ...]) -> nn.Module | None:
    found = (getattr(module, name, None) for name in names)
    return next((part for part in found if isinstance(part, nn.Module)), None)


def weight_of(module: nn.Module) -> Tensor:
    """The weight of a linear layer, an embedding or a norm, detached."""
    weight = module.weight
    assert isinstance(weight, nn.Parameter)
    return weight.detach()


def block_output(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The residual stream in what a block returns: a tensor, or the first of a tuple."""
    return output[0] if isinstance(output, tuple) else output


def fuse_activations(model: nn.Module) -> int:
    """Let PyTorch's one kernel compute GELU where the family spells it out in eight; how many.

    The tanh form, 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), is the same function; values
    differ by rounding alone, and a GPT-2 runs about twice as fast on a GPU.
    """
    from transformers.activations import NewGELUActivation

    fused = 0
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, nn.GELU(approximate="tanh"))
                fused += 1
    return fused


def folded_unembedding(parts: DecoderParts) -> tuple[Tensor, Tensor]:
    """The final norm's scale (D,) and the unembedding (V, D) with that norm folded in.

    For a direction v (D,) of the residual stream, `W @ v` is what v adds to the logits up to the
    common factor of the norm: W = U diag(scale), and for a LayerNorm, which subtracts the mean
    over D, each row of W is centred.
    """
    weight = weight_of(parts.unembedding)
    if parts.project_out is not None:
        weight = weight @ weight_of(parts.project_out)
    scale = _norm_scale(parts.final_norm, weight)  # (D,)
    folded = weight * scale  # (V, D)
    if _subtracts_mean(parts.final_norm):
        folded = folded - folded.mean(dim=-1, keepdim=True)
    return scale, folded


def _norm_scale(norm: nn.Module | None, like: Tensor) -> Tensor:
    if norm is None or getattr(norm, "weight", None) is None:
        return like.new_ones(like.shape[-1])
    scale = weight_of(norm)
    return 1 + scale if type(norm).__name__ in SCALES_BY_ONE_PLUS_WEIGHT else scale


def _subtracts_mean(norm: nn.Module | None) -> bool:
    return norm is not None and "LayerNorm" in type(norm).__name__
