"""A language model whose residual stream can be read and replaced.

Shapes: B batch, T context, D d_model, V vocabulary.
"""

from __future__ import annotations

import copy
import warnings
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch

from ghosttrack_cli.arguments import as_path, as_settings
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.machine.devices import dtype_name
from ghosttrack_cli.model import architectures
from ghosttrack_cli.model.architectures import block_output, weight_of
from ghosttrack_cli.model.found import find_model
from ghosttrack_cli.model.kinds import text_config
from ghosttrack_cli.model.lens import find_lens
from ghosttrack_cli.model.loading import LoadedModel, load_parts
from ghosttrack_cli.model.stream import TOKENS, check_stream
from ghosttrack_cli.settings.schema import ModelSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from torch import Tensor

    from ghosttrack_cli.model.found import FoundModel

ORDINARY_TEXT = "A model of language reads one word after another, 0 1 2 3 4 5 6 7 8 9."


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
    def load(
        settings: ModelSettings,
        *,
        cache_dir: Path | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> ResidualModel:
        """Load a hub id or a local folder, safetensors only, code of its own never.

        `notice` is told what a user should know: tensors that are not used, and the device that
        "auto" took. Without it the former are warnings.

        Raises:
            UsageError: no such folder, device or dtype.
            HubError: the hub cannot be reached or refuses.
            ModelError: files that are missing, damaged or of an unknown kind, or a model without
                one residual stream.
        """
        return ResidualModel.load_found(find_model(settings, cache_dir), notice=notice)

    @staticmethod
    def load_found(
        found: FoundModel, *, notice: Callable[[str], None] | None = None
    ) -> ResidualModel:
        """Load a model that was looked up before, as `load` does."""
        loaded = load_parts(found)
        for message in loaded.notices:
            (notice or warnings.warn)(message)
        model = _checked(ResidualModel(loaded))
        if notice is not None and found.settings.device == "auto":
            notice(f"{model.identity.name} runs on {model.device} in {dtype_name(model.dtype)}")
        return model

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
        return int(text_config(self.model.config).hidden_size)

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
    def project_out(self) -> torch.nn.Module | None:
        """The projection to a narrower embedding, if there is one."""
        return self._parts.project_out

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
        asked = self._in_order(layers)
        kept: dict[int, Tensor] = {}
        with ExitStack() as hooks:
            for layer in asked:
                read = _reader(kept, layer, last=layer == asked[-1])
                hooks.enter_context(_hooked(self._parts.blocks[layer], read))
            with suppress(ForwardEndsError):
                self._run(self.model, input_ids, attention_mask)
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

        Args:
            input_ids: (B, T) int64, on any device.
            layer: the block after which the stream is replaced.
            replace: gets that stream (B, T, D) and returns what the next block shall see.
            attention_mask: (B, T), 1 where a token counts; None: all count.

        Raises:
            UsageError: a layer that the model does not have.
        """
        with ExitStack() as hooks:
            if replace is not None:
                assert layer is not None
                (layer,) = self._in_order((layer,))
                hooks.enter_context(_hooked(self._parts.blocks[layer], _replacer(replace)))
            logits = self._run(self.model, input_ids, attention_mask).logits
        assert isinstance(logits, torch.Tensor)
        return logits

    def unembed(self) -> tuple[Tensor, Tensor]:
        """The final norm's scale (D,) and the unembedding (V, D) with that norm folded in.

        A direction v (D,) adds `W @ v` to the logits, up to the norm's common factor; `scale` is
        already in W.

        Raises:
            ModelError: that is not how this model's logits come about.
        """
        lens = find_lens(self)
        return lens.scale, lens.unembedding

    def some_ids(self, count: int) -> Tensor:
        """Ids of ordinary tokens, (count,), as different from one another as there are."""
        special = set(self.identity.special_token_ids)
        ids = range(self.vocab_size)
        if self.tokenizer is not None:
            ids = self.tokenizer(ORDINARY_TEXT, add_special_tokens=False)["input_ids"]
        ordinary = [token for token in dict.fromkeys(ids) if token < self.vocab_size]
        chosen = [token for token in ordinary if token not in special][-count:] or [0]
        return torch.tensor([chosen[place % len(chosen)] for place in range(count)])

    def _run(self, module: Any, input_ids: Tensor, attention_mask: Tensor | None) -> Any:
        device = self.device
        mask = None if attention_mask is None else attention_mask.to(device)
        return module(
            input_ids=input_ids.to(device, non_blocking=True), attention_mask=mask, use_cache=False
        )

    def _in_order(self, layers: Collection[int]) -> list[int]:
        asked = sorted(set(layers))
        assert asked, "at least one layer"
        for layer in asked:
            if not 0 <= layer < self.n_layers:
                raise UsageError(f"layer out of range: {layer}, must be 0 to {self.n_layers - 1}")
        return asked


class GPT2WithResidualHooks(ResidualModel):
    """A decoder-only model by name, ready to be read: on its device, without gradients.

    Args:
        model_name: a name on the hub, or a folder with config.json and safetensors weights.
        device: auto, cpu, cuda, cuda:1.
        dtype: auto (bfloat16 on a GPU, float32 elsewhere), float32, bfloat16 or float16.
        revision: branch, tag or commit on the hub; default: main.
        cache_dir: where files from the hub are kept; default: the hub's cache.

    Raises:
        UsageError: an argument that cannot be what it is passed as.
        ModelError: no such model, weights that are not safetensors, or no residual stream to read.
        HubError: the hub cannot be reached or refuses.

    Example:
        >>> model = GPT2WithResidualHooks("gpt2", device="cpu")
        >>> ids = model.tokenizer("Paris", return_tensors="pt")["input_ids"]  # (B, T)
        >>> model.residuals(ids, [6])[6].shape  # (B, T, D)
        torch.Size([1, 1, 768])
    """

    def __init__(
        self,
        model_name: str = "gpt2",
        device: str = "auto",
        *,
        dtype: str = "auto",
        revision: str | None = None,
        cache_dir: Path | str | None = None,
    ) -> None:
        given = {"name": model_name, "device": device, "dtype": dtype, "revision": revision}
        settings = as_settings(ModelSettings, given, {"name": "model_name"})
        cache = None if cache_dir is None else as_path(cache_dir, "cache_dir")
        loaded = load_parts(find_model(settings, cache))
        for message in loaded.notices:
            warnings.warn(message, stacklevel=2)
        super().__init__(loaded)
        _checked(self)


def _checked(model: ResidualModel) -> ResidualModel:
    check_stream(model, model.some_ids(min(TOKENS, model.max_context)))
    return model


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
        return (
            type(output)((replaced, *output[1:])) if isinstance(output, tuple | list) else replaced
        )

    return swap
