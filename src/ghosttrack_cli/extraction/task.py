"""What one extraction is about, and the identity of the store that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch

from ghosttrack_cli.extraction.plan import context_length
from ghosttrack_cli.machine.devices import dtype_name
from ghosttrack_cli.monitor import SILENT, Monitor
from ghosttrack_cli.store.format.identity import StoreDtype, StoreIdentity
from ghosttrack_cli.text.windows import TokenWindows

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.model.identity import ModelIdentity
    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.settings.schema import ExtractionSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.format.commit_record import Commit
    from ghosttrack_cli.text.documents import JSON, Corpus


@dataclass(frozen=True)
class ExtractionResult:
    """What the store holds after an extraction.

    `new_rows` is what this run added to the store: 0 where layers were added to its rows, or
    nothing was to be done. `short_by` is how many rows asked for the corpus did not have.
    `batch_size` counts windows of `context_length` tokens. `text` has the number of documents
    behind the rows and by reason what was left out of them (`usable_texts.LeftOut`); None where an
    earlier version made the store, or the text was not read to the end yet.
    """

    store: Path
    layers: tuple[AnySite, ...]
    rows: int
    asked_rows: int
    new_rows: int
    bytes: int
    complete: bool
    short_by: int
    batch_size: int
    context_length: int
    text: dict[str, int] | None

    @property
    def documents(self) -> int | None:
        """Documents behind the rows."""
        return None if self.text is None else self.text["documents"]

    @classmethod
    def of(cls, store: Path, commit: Commit, *, rows_before: int) -> ExtractionResult:
        """The result that `commit` shows, for a store that had `rows_before` rows."""
        return cls(
            store=store,
            layers=tuple(commit.layers),
            rows=commit.rows,
            asked_rows=commit.asked_rows,
            new_rows=commit.rows - rows_before,
            bytes=commit.bytes,
            complete=commit.complete,
            short_by=max(0, commit.asked_rows - commit.rows),
            batch_size=commit.identity.batch_size,
            context_length=commit.identity.context_length,
            text=commit.text,
        )


@dataclass(frozen=True)
class Task:
    """A loaded model, an open corpus, and what is asked of them."""

    model: ResidualModel
    corpus: Corpus
    layers: tuple[AnySite, ...]
    settings: ExtractionSettings
    store: Path
    monitor: Monitor = SILENT

    @property
    def context(self) -> int:
        """Tokens a window."""
        return context_length(self.settings, self.model.max_context)

    @property
    def on_cpu(self) -> bool:
        """Whether the model needs the cores that everything else needs too."""
        return self.model.device.type == "cpu"

    @property
    def dtype(self) -> torch.dtype:
        """What the store keeps."""
        asked = self.settings.store_dtype
        dtype = self.model.dtype if asked == "auto" else getattr(torch, asked)
        assert isinstance(dtype, torch.dtype)
        return dtype

    def windows(self, batch_size: int, cursor: JSON) -> TokenWindows:
        """The text in batches of windows, from `cursor` on."""
        return TokenWindows(
            self.corpus,
            self.model.tokenizer,
            context_length=self.context,
            batch_size=batch_size,
            cursor=cursor,
            monitor=self.monitor,
            retry_minutes=self.settings.retry_minutes,
            spare_cores=not self.on_cpu,
        )

    def identity(self, batch_size: int) -> StoreIdentity:
        """What the store says of itself when `batch_size` windows go through the model at once."""
        return store_identity(
            self.model.identity,
            self.corpus,
            context_length=self.context,
            batch_size=batch_size,
            d_model=self.model.d_model,
            dtype=dtype_name(self.dtype),
            model_dtype=dtype_name(self.model.dtype),
            settings=self.settings,
        )


def store_identity(
    model: ModelIdentity,
    corpus: Corpus,
    *,
    context_length: int,
    batch_size: int,
    d_model: int,
    dtype: str,
    model_dtype: str,
    settings: ExtractionSettings,
) -> StoreIdentity:
    """The identity of the store of this model, text and layout."""
    return StoreIdentity(
        model=model.name,
        model_revision=model.revision,
        weights_sha256=model.weights_sha256,
        tokenizer_sha256=model.tokenizer_sha256,
        special_token_ids=model.special_token_ids,
        corpus={**corpus.identity(), "name": corpus.name},
        context_length=context_length,
        batch_size=batch_size,
        d_model=d_model,
        dtype=cast("StoreDtype", dtype),
        compress=settings.compress,
        extra={"model_dtype": model_dtype},
        model_config=model.config,
    )
