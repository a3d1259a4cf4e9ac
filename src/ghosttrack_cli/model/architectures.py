"""Where a decoder keeps its blocks.

The residual stream after block l (hook point resid_post) is what block l returns. Families differ
only in names, so that a short list of them finds GPT-2, GPT-NeoX, Llama, Mistral, Qwen, Gemma, Phi,
OPT and most others that were built after them. `stream.check_stream` looks whether it is so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.model.kinds import SUPPORTED, check_kind, layer_count_name, text_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from transformers import PreTrainedConfig, PreTrainedModel

BLOCKS = ("h", "layers", "blocks")


@dataclass(frozen=True)
class DecoderParts:
    """The parts of a decoder-only model that the residual stream passes."""

    blocks: nn.ModuleList
    project_out: nn.Module | None
    """from d_model to a narrower embedding (OPT-350m)"""


def find_parts(model: PreTrainedModel) -> DecoderParts:
    """Find the blocks of `model` by the names that its family uses.

    Raises:
        ModelError: no list of as many blocks as the configuration says.
    """
    check_kind(model.config)
    wanted = n_layers_of(model.config)
    for root in _decoders(model):
        for blocks in _block_lists(root):
            if len(blocks) == wanted:
                return DecoderParts(blocks, _project_out(root))
    raise ModelError(
        f"no decoder blocks found: {type(model).__name__} keeps its {wanted} layers in no list of"
        " a known name",
        hint=SUPPORTED,
    )


def n_layers_of(config: PreTrainedConfig) -> int:
    """The number of blocks that the configuration says."""
    text = text_config(config)
    return int(getattr(text, layer_count_name(text), 0))


def _decoders(model: PreTrainedModel) -> Iterator[nn.Module]:
    """Where to look, the narrowest first: a language model inside, then everything."""
    decoder: Any = model.get_decoder()  # type: ignore[no-untyped-call]
    if isinstance(decoder, nn.Module):
        yield decoder
    yield model.base_model


def _block_lists(root: nn.Module) -> list[nn.ModuleList]:
    """Lists of modules by a name of BLOCKS, the outermost first: what sees lies deeper."""
    found = [
        (path.count("."), module)
        for path, module in root.named_modules()
        if isinstance(module, nn.ModuleList) and path.rpartition(".")[2] in BLOCKS
    ]
    return [module for _, module in sorted(found, key=lambda one: one[0])]


def _project_out(root: nn.Module) -> nn.Module | None:
    found = [module for path, module in root.named_modules() if path.endswith("project_out")]
    return found[0] if found else None


def weight_of(module: nn.Module) -> Tensor:
    """The weight of a linear layer, an embedding or a norm, detached."""
    weight = module.weight
    assert isinstance(weight, nn.Parameter)
    return weight.detach()


def block_output(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The residual stream in what a block returns: a tensor, or the first of a tuple."""
    return output[0] if isinstance(output, tuple | list) else output


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
