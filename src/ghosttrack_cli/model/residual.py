"""A language model whose residual stream can be read and replaced.

Shapes: B batch, T context, D d_model, V vocabulary.
"""

from __future__ import annotations

import copy
import warnings
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import torch

from ghosttrack_cli.arguments import as_path, as_settings
from ghosttrack_cli.machine.devices import dtype_name
from ghosttrack_cli.model import architectures
from ghosttrack_cli.model.architectures import weight_of
from ghosttrack_cli.model.found import find_model
from ghosttrack_cli.model.hook_points import BLOCK_TAPS, find_taps, missing_point
from ghosttrack_cli.model.kinds import text_config
from ghosttrack_cli.model.lens import find_lens
from ghosttrack_cli.model.loading import LoadedModel, load_parts
from ghosttrack_cli.model.stream import TOKENS, check_stream
from ghosttrack_cli.model.taps import reading, replacing
from ghosttrack_cli.settings.schema import ModelSettings
from ghosttrack_cli.site import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from torch import Tensor

    from ghosttrack_cli.model.found import FoundModel
    from ghosttrack_cli.model.hook_points import Tap
    from ghosttrack_cli.site import AnySite, Point, Site


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
        self._taps: list[dict[Point, Tap]] = []
        """Those of each block; empty until one within a block is asked for."""

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
        twin = ResidualModel(parts)
        twin._taps = self._taps
        return twin

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
        layers: Collection[AnySite],
        attention_mask: Tensor | None = None,
    ) -> dict[AnySite, Tensor]:
        """What is at each requested site, in one pass that ends after the last one.

        Args:
            input_ids: (B, T) int64, on any device.
            layers: sites to read, at least one; a layer's number is the stream after its block.
            attention_mask: (B, T), 1 where a token counts; None: all count.

        Returns:
            site -> (B, T, D) on the model's device, in ascending order.

        Raises:
            UsageError: a layer that the model does not have, or a hook point that it has not there.
        """
        asked = checked(layers, self.n_layers)
        kept: dict[AnySite, Tensor] = {}
        taps = [self.taps(site)[site.point] for site in asked]  # may run the model: before hooks
        with ExitStack() as hooks:
            for site, tap in zip(asked, taps, strict=True):
                read = _reader(kept, site, len(asked))
                block = self._parts.blocks[site.layer]
                hooks.enter_context(reading(block, tap, input_ids.shape, read))
            with suppress(ForwardEndsError):
                self._run(self.model, input_ids, attention_mask)
        return {site: kept[site] for site in asked}

    @torch.inference_mode()
    def logits(
        self,
        input_ids: Tensor,
        *,
        layer: AnySite | None = None,
        replace: Callable[[Tensor], Tensor] | None = None,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, T, V), with what is at a site replaced if asked.

        Args:
            input_ids: (B, T) int64, on any device.
            layer: the site; a layer's number is the stream after its block.
            replace: gets what is there (B, T, D) and returns what the model goes on with.
            attention_mask: (B, T), 1 where a token counts; None: all count.

        Raises:
            UsageError: a layer that the model does not have, or a hook point that it has not there.
        """
        with ExitStack() as hooks:
            if replace is not None:
                assert layer is not None
                (site,) = checked((layer,), self.n_layers)
                taps, block = self.taps(site), self._parts.blocks[site.layer]
                swap = replacing(block, site.point, taps, input_ids.shape, replace)
                hooks.enter_context(swap)
            logits = self._run(self.model, input_ids, attention_mask).logits
        assert isinstance(logits, torch.Tensor)
        return logits

    def require(self, layers: Collection[AnySite]) -> None:
        """Refuse sites that this model does not have, before anything is read.

        Raises:
            UsageError: names the first of them, and the hook points that there are.
        """
        for site in checked(layers, self.n_layers):
            self.taps(site)

    def taps(self, site: Site) -> Mapping[Point, Tap]:
        """Where the hook points of the site's block are.

        Those within a block are looked for when one is first asked for.

        Raises:
            UsageError: the block has no such point.
        """
        if site.point in BLOCK_TAPS:
            return BLOCK_TAPS
        if not self._taps:
            self._taps += find_taps(self, self.some_ids(min(TOKENS, self.max_context)))
        taps = self._taps[site.layer]
        if site.point not in taps:
            raise missing_point(self, site, taps)
        return taps

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


def _reader(kept: dict[AnySite, Tensor], site: Site, wanted: int) -> Callable[[Tensor], None]:
    def keep(value: Tensor) -> None:
        kept[site] = value
        if len(kept) == wanted:
            raise ForwardEndsError

    return keep
