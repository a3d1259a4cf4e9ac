"""One layer's part of the pass: encode, reconstruct, mask, collect.

N rows of a batch, E events, D d_model, F d_hidden, Fb features of a block.

Features are encoded in blocks, feature by feature in memory, so that a block's events come sorted
and N x F never exists whole. With about 70 of thousands of features active, reconstructing from the
events costs an eighth of the dense product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.interpretation.collect.events import Block, Events
from ghosttrack_cli.metrics import ReconstructionSums
from ghosttrack_cli.report.facts import MaskCounts
from ghosttrack_cli.store.read.row_order import OUTLIER_FACTOR, row_mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from ghosttrack_cli.interpretation.collect.arrays import BoolArray
    from ghosttrack_cli.interpretation.collect.collector import Collector
    from ghosttrack_cli.interpretation.collect.row_batch import RowBatch
    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.row_order import MaskReport

BLOCK_ELEMENTS = {"cpu": 1 << 24, "cuda": 1 << 28}
SPARSE_BELOW = 0.05
MASK_FIELDS = ("rows", "position_0", "special", "outlier", "kept")
SUM_FIELDS = (
    "rows",
    "nonzero_rows",
    "l0",
    "l1",
    "error",
    "energy",
    "cosine",
    "ratio",
    "recon_energy",
    "product",
)


class LayerPass:
    """What a pass keeps of one layer: the collector, metrics with and without mask, mask counts."""

    def __init__(
        self,
        layer: AnySite,
        sae: SAE,
        collector: Collector,
        special_token_ids: tuple[int, ...],
        median_norm: float | None,
    ) -> None:
        self.layer = layer
        self.sae = sae
        self.collector = collector
        self.special_token_ids = special_token_ids
        self.median_norm = median_norm
        scale = (sae.metadata.get("ghosttrack") or {}).get("scale")
        self.kept = ReconstructionSums(sae.d_model, scale=scale)
        self.everything = ReconstructionSums(sae.d_model, scale=scale)
        self.mask = dict.fromkeys((*MASK_FIELDS, "repeated"), 0)

    @torch.inference_mode()
    def update(self, batch: RowBatch) -> None:
        """Take in one batch.

        Raises:
            ModelError: activations that are not finite.
        """
        x = batch.x[self.layer]  # (N, D)
        keep = self._mask(batch, x)
        rows = batch.rows.masked(keep)
        self.mask["repeated"] += int((keep & ~rows.counted).sum())
        recon = self.sae.b_dec.expand_as(x).clone()  # (N, D)
        l0, l1 = np.zeros(len(x)), np.zeros(len(x))
        counted = []
        for block in self.blocks(x):
            events = block.events()
            l0 += np.bincount(events.columns, minlength=len(x))
            l1 += np.bincount(events.columns, events.values, minlength=len(x))
            recon += self._decode(block, events)
            counted.append(self.collector.take(rows, block, events))
        self.collector.end_batch(rows, counted)
        self._measure(x, recon, torch.from_numpy(l0), torch.from_numpy(l1), keep)

    def blocks(self, x: Tensor) -> Iterator[Block]:
        """Pre-activations of all features on rows x (N, D), a block of features at a time."""
        size = max(1, BLOCK_ELEMENTS.get(x.device.type, 1 << 24) // len(x))
        for block in self.sae.feature_blocks(x, size):
            yield Block(*block)

    def _mask(self, batch: RowBatch, x: Tensor) -> BoolArray:
        keep, report = self.keep(batch, x)
        for name in MASK_FIELDS:
            self.mask[name] += getattr(report, name)
        return keep

    def keep(self, batch: RowBatch, x: Tensor) -> tuple[BoolArray, MaskReport]:
        """Which rows of a batch are kept, (N,), and how many are left out by what.

        Raises:
            ModelError: activations that are not finite.
        """
        norms = torch.linalg.vector_norm(x, dim=1).cpu().numpy()  # (N,)
        if not np.isfinite(norms).all():
            row = int(np.flatnonzero(~np.isfinite(norms))[0])
            raise ModelError(
                f"activations are not finite: layer {self.layer}, document"
                f" {batch.rows.documents[row]}, position {batch.rows.positions[row]}",
                hint="if the model computes in float16: GHOSTTRACK_MODEL__DTYPE=float32",
            )
        return row_mask(
            batch.rows.positions,
            batch.rows.token_ids,
            self.special_token_ids,
            norms,
            np.inf if self.median_norm is None else self.median_norm,
        )

    def _decode(self, block: Block, events: Events) -> Tensor:
        """What a block of features adds to the reconstruction, (N, D)."""
        n_features, n_rows = block.pre_acts.shape
        W_dec = self.sae.W_dec[block.first : block.first + n_features]  # (Fb, D)
        if len(events.values) > SPARSE_BELOW * n_features * n_rows or W_dec.is_cuda:
            return torch.where(block.active(), block.pre_acts, 0).T @ W_dec
        narrow = np.uint16 if n_rows <= 1 << 16 else np.int64  # numpy sorts 16 bits by radix
        order = np.argsort(events.columns.astype(narrow), kind="stable")
        counts = np.bincount(events.columns, minlength=n_rows)
        return embedding_bag(
            torch.from_numpy(events.features[order] - block.first),
            W_dec,
            torch.from_numpy(np.cumsum(counts) - counts),
            mode="sum",
            per_sample_weights=torch.from_numpy(events.values[order]),
        )

    def _measure(self, x: Tensor, recon: Tensor, l0: Tensor, l1: Tensor, keep: BoolArray) -> None:
        self.everything.update_counted(x, recon, l0, l1)
        kept = torch.from_numpy(keep)
        there = kept.to(x.device)
        self.kept.update_counted(x[there], recon[there], l0[kept], l1[kept])

    def mask_counts(self) -> MaskCounts:
        """How many rows were left out, and why."""
        limit = None if self.median_norm is None else OUTLIER_FACTOR * self.median_norm
        counted = self.mask["kept"] - self.mask["repeated"]
        return MaskCounts(**self.mask, counted=counted, outlier_limit=limit)

    def state(self) -> dict[str, Any]:
        """The scalar part of the state, for JSON."""
        return {
            "collector": self.collector.counters(),
            "mask": self.mask,
            "kept": _sums_state(self.kept),
            "everything": _sums_state(self.everything),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The rest of the state, for a tensor file."""
        arrays = self.collector.arrays()
        return {
            **{name: torch.from_numpy(array) for name, array in arrays.items()},
            "kept.mean_sum": self.kept.mean_sum,
            "everything.mean_sum": self.everything.mean_sum,
        }

    def fits(self, state: Any, tensors: Mapping[str, Tensor]) -> bool:
        """Whether these have the names, kinds and shapes that `state` and `tensors` give."""
        mine = self.tensors()
        if tensors.keys() != mine.keys() or not _same_kind(state, self.state()):
            return False
        waiting = {name for name in mine if ".pending_" in name}
        return len({tensors[name].shape for name in waiting}) == 1 and all(
            tensor.dtype == mine[name].dtype
            and (tensor.shape == mine[name].shape or (name in waiting and tensor.dim() == 1))
            for name, tensor in tensors.items()
        )

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take the state that `state` and `tensors` gave."""
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        self.collector.restore(state["collector"], arrays)
        self.mask = dict(state["mask"])
        for name, sums in (("kept", self.kept), ("everything", self.everything)):
            sums.mean_sum = tensors[f"{name}.mean_sum"]
            for field, value in state[name].items():
                setattr(sums, field, value)


def _sums_state(sums: ReconstructionSums) -> dict[str, float]:
    return {name: getattr(sums, name) for name in SUM_FIELDS}


def _same_kind(saved: Any, mine: Any) -> bool:
    """Whether JSON has the keys of `mine`, and counts or numbers where that has them."""
    if isinstance(mine, dict):
        return (
            isinstance(saved, dict)
            and saved.keys() == mine.keys()
            and all(_same_kind(saved[name], value) for name, value in mine.items())
        )
    if isinstance(mine, int):
        return type(saved) is int and saved >= 0
    return type(saved) in {int, float}
