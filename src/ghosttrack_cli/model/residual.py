"""A language model whose residual stream can be read and replaced.

Shapes: B batch, T context, D d_model, V vocabulary.
"""

from __future__ import annotations

import copy
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.model import architectures
from ghosttrack_cli.model.architectures import block_output, weight_of
from ghosttrack_cli.model.loading import LoadedModel, load_parts
from ghosttrack_cli.settings import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from torch import Tensor


class ForwardEndsError(Exception):
    """Raised inside a forward pass when the last layer asked has been read."""


class ResidualModel:
    """A decoder-only model: token ids in, residual streams of its blocks or logits out."""

    def __init__(self, loaded: LoadedModel) -> None:
        architectures.fuse_activations(loaded.model)
        self.model = loaded.model
        self.tokenizer = loaded.tokenizer
        self.identity = loaded.identity
        self.max_context = loaded.max_context
        self._parts = architectures.find_parts(loaded.model)

    @staticmethod
    def load(settings: ModelSettings, *, cache_dir: Path | None = None) -> ResidualModel:
        """Load a hub id or a local folder, safetensors only, code of its own never.

        Raises:
            UsageError: no such folder, device or dtype.
            HubError: the hub cannot be reached or refuses.
            ModelError: files that are missing, damaged or of an unknown kind.
        """
        return ResidualModel(load_parts(settings, cache_dir))

    def twin(self) -> ResidualModel:
        """The same weights in modules of its own, so that two threads can each run one."""
        shared = [*self.model.parameters(), *self.model.buffers()]
        model = copy.deepcopy(self.model, {id(tensor): tensor for tensor in shared})
        parts = LoadedModel(model, self.tokenizer, self.identity, self.max_context)
        return ResidualModel(parts)

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return len(self._parts.blocks)

    @property
    def d_model(self) -> int:
        """Width of the residual stream, D."""
        return int(self.model.config.get_text_config().hidden_size)

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding, V."""
        return int(weight_of(self.model.get_input_embeddings()).shape[0])

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return self.model.dtype

    @property
    def blocks(self) -> torch.nn.ModuleList:
        """The blocks, in order: what `residuals` reads after each."""
        return self._parts.blocks

    @torch.inference_mode()
    def residuals(
        self,
        input_ids: Tensor,
        layers: Collection[int],
        attention_mask: Tensor | None = None,
    ) -> dict[int, Tensor]:
        """The residual stream after each asked block, in one pass that ends after the last one.

        Args:
            input_ids: (B, T) int64, on any device.
            layers: blocks to read, at least one.
            attention_mask: (B, T), 1 where a token counts; None: all count.

        Returns:
            layer -> (B, T, D) on the model's device, in ascending order.

        Raises:
            UsageError: a layer that the model does not have.
        """
        asked = self._checked(layers)
        kept: dict[int, Tensor] = {}
        with ExitStack() as hooks:
            for layer in asked:
                read = _reader(kept, layer, last=layer == asked[-1])
                hooks.enter_context(_hooked(self._parts.blocks[layer], read))
            with suppress(ForwardEndsError):
                self._run(self._parts.body, input_ids, attention_mask)
        return kept

    @torch.inference_mode()
    def logits(
        self,
        input_ids: Tensor,
        *,
        layer: int | None = None,
        replace: Callable[[Tensor], Tensor] | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, T, V), with the residual stream after `layer` replaced if asked.

        `replace` gets that stream (B, T, D) and returns what the next block shall see.
        """
        with ExitStack() as hooks:
            if replace is not None:
                assert layer is not None
                (layer,) = self._checked((layer,))
                hooks.enter_context(_hooked(self._parts.blocks[layer], _replacer(replace)))
            logits = self._run(self.model, input_ids, attention_mask).logits
        assert isinstance(logits, torch.Tensor)
        return logits

    def unembed(self) -> tuple[Tensor, Tensor]:
        """The final norm's scale (D,) and the unembedding (V, D) with that norm folded in.

        A direction v (D,) adds `W @ v` to the logits, up to the norm's common factor; `scale` is
        already in W.
        """
        return architectures.folded_unembedding(self._parts)

    def _run(self, module: Any, input_ids: Tensor, attention_mask: Tensor | None) -> Any:
        device = self.device
        mask = None if attention_mask is None else attention_mask.to(device)
        return module(
            input_ids=input_ids.to(device, non_blocking=True), attention_mask=mask, use_cache=False
        )

    def _checked(self, layers: Collection[int]) -> list[int]:
        asked = sorted(set(layers))
        assert asked, "at least one layer"
        for layer in asked:
            if not 0 <= layer < self.n_layers:
                raise UsageError(f"layer out of range: {layer}, valid are 0 to {self.n_layers - 1}")
        return asked


class GPT2WithResidualHooks(ResidualModel):
    """A model by name, as the seed document constructs it."""

    def __init__(
        self,
        model_name: str = "gpt2",
        device: str = "auto",
        *,
        dtype: str = "auto",
        revision: str | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        settings = ModelSettings.model_validate(
            {"name": model_name, "device": device, "dtype": dtype, "revision": revision}
        )
        super().__init__(load_parts(settings, cache_dir))


@contextmanager
def _hooked(block: torch.nn.Module, hook: Callable[..., Any]) -> Iterator[None]:
    handle = block.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _reader(kept: dict[int, Tensor], layer: int, *, last: bool) -> Callable[..., None]:
    def read(_block: object, _inputs: object, output: Any) -> None:
        kept[layer] = block_output(output)
        if last:
            raise ForwardEndsError

    return read


def _replacer(replace: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    def swap(_block: object, _inputs: object, output: Any) -> Any:
        stream = block_output(output)
        replaced = replace(stream).to(stream.dtype)
        return (replaced, *output[1:]) if isinstance(output, tuple) else replaced

    return swap
