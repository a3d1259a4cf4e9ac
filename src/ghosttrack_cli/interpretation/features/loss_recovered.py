"""What a language model loses when an SAE's reconstruction replaces its residual stream.

B windows, T tokens, V vocabulary, D d_model. Sums in float64 over positions that have a target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch.nn.utils.rnn import pad_sequence

from ghosttrack_cli.report.facts import Recovered
from ghosttrack_cli.store.read.row_order import OUTLIER_FACTOR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.site import AnySite

PROBE_ROWS = 4096
FORWARD_TOKENS = 1024
VARIANTS = ("sae", "zero", "mean")
Spliced = Literal["kept", "all"]


@dataclass(frozen=True)
class Splice:
    """One layer's SAE, the mean of its rows, and which rows count as outliers."""

    layer: AnySite
    sae: SAE
    mean: Tensor
    median_norm: float | None

    def variant(self, name: str, x: Tensor) -> Tensor:
        """What stands for x (B, T, D)."""
        if name == "sae":
            return self.sae.forward(x.float()).to(x.dtype)
        return torch.zeros_like(x) if name == "zero" else self.mean.to(x).expand_as(x)

    def replacement(self, name: str, rows: Tensor) -> Callable[[Tensor], Tensor]:
        """A function that replaces x (B, T, D) at `rows` (B, T)."""
        return lambda x: torch.where(rows[..., None], self.variant(name, x), x)

    def keeps(self, x: Tensor) -> Tensor:
        """Rows whose norm is no outlier, (B, T)."""
        limit = torch.inf if self.median_norm is None else OUTLIER_FACTOR * self.median_norm
        norms: Tensor = torch.linalg.vector_norm(x.float(), dim=-1)
        return norms <= limit


@dataclass
class Losses:
    """Sums of cross-entropies and divergences of one layer."""

    rows: int = 0
    clean: float = 0.0
    ce: dict[str, float] = field(default_factory=lambda: dict.fromkeys(VARIANTS, 0.0))
    kl: dict[str, float] = field(default_factory=lambda: dict.fromkeys(VARIANTS, 0.0))

    def result(self, spliced: Spliced) -> Recovered | None:
        """The means and what they say; None without rows."""
        if self.rows == 0:
            return None
        clean = self.clean / self.rows
        ce = {name: value / self.rows for name, value in self.ce.items()}
        kl = {name: value / self.rows for name, value in self.kl.items()}
        lost = ce["zero"] - clean
        return Recovered(
            rows=self.rows,
            spliced=spliced,
            ce_clean=clean,
            **{f"ce_{name}": value for name, value in ce.items()},
            ce_recovered=(ce["zero"] - ce["sae"]) / lost if lost > 0 else None,
            **{f"kl_{name}": value for name, value in kl.items()},
            kl_recovered=1 - kl["sae"] / kl["zero"] if kl["zero"] > 0 else None,
        )


@torch.inference_mode()
def measure_recovered(
    model: ResidualModel,
    splices: Iterable[Splice],
    windows: Iterable[Tensor],
    after_splice: Callable[[int], None] = lambda _: None,
) -> dict[AnySite, tuple[Recovered | None, Recovered | None]]:
    """For each layer, with the kept rows replaced and with all rows replaced.

    `windows` are token ids (T,). Kept rows are neither at position 0, nor special, nor outliers;
    losses are over the same rows. `after_splice` gets the tokens that went through the model with
    an SAE in it, and may raise to stop.
    """
    splices = list(splices)
    losses = {splice.layer: {"kept": Losses(), "all": Losses()} for splice in splices}
    for batch in _batches(windows, model):
        clean = _log_probabilities(batch.logits())  # (B, T, V)
        streams = batch.model.residuals(batch.ids, list(losses), batch.mask)
        for splice in splices:
            sums = losses[splice.layer]
            kept = batch.ordinary() & splice.keeps(streams[splice.layer])  # (B, T)
            _add(sums["kept"], batch, splice, kept, clean)
            _add(sums["all"], batch, splice, batch.real, clean)
            after_splice(int(batch.real.sum()))
    return {
        layer: (sums["kept"].result("kept"), sums["all"].result("all"))
        for layer, sums in losses.items()
    }


@dataclass(frozen=True)
class Padded:
    """Windows of one forward pass, padded at the end; `ids` and `real` are (B, T)."""

    model: ResidualModel
    ids: Tensor
    real: Tensor

    @property
    def mask(self) -> Tensor | None:
        """The attention mask, None where nothing is padded."""
        return None if bool(self.real.all()) else self.real.long()

    def logits(
        self, layer: AnySite | None = None, replace: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Logits (B, T, V), spliced if asked."""
        return self.model.logits(self.ids, layer=layer, replace=replace, attention_mask=self.mask)

    def ordinary(self) -> Tensor:
        """Rows that are neither padding, nor at position 0, nor special, (B, T)."""
        special = torch.tensor(self.model.identity.special_token_ids, device=self.ids.device)
        ordinary = self.real & ~torch.isin(self.ids, special)
        ordinary[:, 0] = False
        return ordinary


def _add(losses: Losses, batch: Padded, splice: Splice, rows: Tensor, clean: Tensor) -> None:
    """Add a batch: the stream at `rows` (B, T) is replaced, and losses are taken there."""
    scored = rows[:, :-1] & batch.real[:, 1:]  # the last token of a window has no target
    before, target = clean[:, :-1][scored], batch.ids[:, 1:][scored]  # (n, V), (n,)
    losses.rows += len(target)
    losses.clean += _cross_entropy(before, target)
    for name in VARIANTS:
        logits = batch.logits(splice.layer, splice.replacement(name, rows))
        after = _log_probabilities(logits[:, :-1][scored])  # (n, V)
        losses.ce[name] += _cross_entropy(after, target)
        losses.kl[name] += (before.exp() * (before - after)).sum(dim=-1).double().sum().item()


def _batches(windows: Iterable[Tensor], model: ResidualModel) -> Iterator[Padded]:
    """Windows in their order, in batches of at most FORWARD_TOKENS tokens, padding included."""
    batch: list[Tensor] = []
    for window in windows:
        longest = max(map(len, [*batch, window]))
        if batch and longest * (len(batch) + 1) > FORWARD_TOKENS:
            yield _padded(batch, model)
            batch = []
        batch.append(window)
    if batch:
        yield _padded(batch, model)


def _padded(windows: list[Tensor], model: ResidualModel) -> Padded:
    real = pad_sequence([torch.ones_like(window) for window in windows], batch_first=True).bool()
    ids = pad_sequence(windows, batch_first=True)
    return Padded(model, ids.to(model.device), real.to(model.device))


def _log_probabilities(logits: Tensor) -> Tensor:
    return logits.float().log_softmax(dim=-1)


def _cross_entropy(log_probabilities: Tensor, target: Tensor) -> float:
    """The summed cross-entropy of targets (n,) under log-probabilities (n, V)."""
    picked = log_probabilities.gather(-1, target[:, None])
    return -picked.double().sum().item()
