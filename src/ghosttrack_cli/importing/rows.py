"""Rows to check an SAE on: the store's where it has the site, else text through the model.

N rows, D d_model, B batch, T context.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ghosttrack_cli.errors import CorpusError, ModelError, UsageError
from ghosttrack_cli.settings.catalogue import DEFAULT_CONTEXT
from ghosttrack_cli.store.format.commit_record import has_store
from ghosttrack_cli.store.format.dtypes import to_torch
from ghosttrack_cli.store.read.reader import ActivationStore
from ghosttrack_cli.store.read.row_order import row_mask
from ghosttrack_cli.text.windows import TokenWindows

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from torch import Tensor

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.site import Site
    from ghosttrack_cli.text.documents import Corpus
    from ghosttrack_cli.workspace import Workspace

TOKENS = 2000
WINDOWS_AT_ONCE = 4


@dataclass(frozen=True)
class CheckedRows:
    """Rows that count: no window starts, special tokens or outliers."""

    x: Tensor  # (N, D)
    model: str
    context: int


def store_with(workspace: Workspace, site: Site) -> ActivationStore | None:
    """The workspace's store, if it has rows of `site`."""
    if not has_store(workspace.store):
        return None
    store = ActivationStore.open(workspace.store)
    return store if site in store.layers and store.rows else None


def rows_of_store(store: ActivationStore, site: Site) -> CheckedRows:
    """The first TOKENS rows of a store.

    Raises:
        CorruptionError: a chunk is not what was committed.
        ModelError: rows that are not finite, or none that counts.
    """
    with store.held("ghosttrack import"):
        count = min(TOKENS, store.rows)
        x = to_torch(store.read(site, 0, count)).float()  # (N, D)
        positions, token_ids = store.positions()[:count], store.token_ids()[:count]
    about = store.identity
    x = _counted(x, positions, token_ids, about.special_token_ids, site)
    return CheckedRows(x, about.model, about.context_length)


def rows_of_text(
    model: ResidualModel, corpus: Corpus, site: Site, monitor: Monitor, context: int | None
) -> CheckedRows:
    """The first TOKENS tokens of a corpus, through the model; `context` is the SAE's own.

    Raises:
        UsageError: the model does not have the site.
        CorpusError, HubError: no text, or text that cannot be read.
        ModelError: rows that are not finite.
    """
    if site.layer >= model.n_layers:
        raise UsageError(
            f"layer out of range: {site.layer}, {model.identity.name} has 0 to"
            f" {model.n_layers - 1}",
            hint="wrong model, or wrong layer?",
        )
    model.require([site])
    length = max(2, min(context or DEFAULT_CONTEXT, DEFAULT_CONTEXT, model.max_context))
    found: list[tuple[Tensor, Any, Any]] = []
    windows = TokenWindows(
        corpus, model.tokenizer, context_length=length, batch_size=WINDOWS_AT_ONCE, monitor=monitor
    )
    with windows:
        for batch in windows:
            ids = torch.from_numpy(batch.input_ids)  # (B, T)
            stream = model.residuals(ids, [site])[site]  # (B, T, D)
            flat = stream.reshape(-1, stream.shape[-1]).float().cpu()
            found.append((flat, batch.positions.reshape(-1), batch.input_ids.reshape(-1)))
            if sum(len(x) for x, _, _ in found) >= TOKENS:
                break
    if not found:
        raise CorpusError("no text to check the SAE on")
    x, positions, token_ids = (
        torch.cat([one[0] for one in found])[:TOKENS],
        np.concatenate([one[1] for one in found])[:TOKENS],
        np.concatenate([one[2] for one in found])[:TOKENS],
    )
    x = _counted(x, positions, token_ids, model.identity.special_token_ids, site)
    return CheckedRows(x, model.identity.name, length)


def _counted(
    x: Tensor, positions: Any, token_ids: Any, special: Iterable[int], site: Site
) -> Tensor:
    norms = torch.linalg.vector_norm(x, dim=1).numpy()
    if not np.isfinite(norms).all():
        raise ModelError(f"activations are not finite: layer {site}")
    keep, _ = row_mask(positions, token_ids, special, norms, float(np.median(norms)))
    if not keep.any():
        raise ModelError(f"no row to check the SAE on: all {len(x)} are special ones")
    return x[torch.from_numpy(keep)]
