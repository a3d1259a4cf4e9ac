"""What a user should know about a training before it begins, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli.machine import devices
from ghosttrack_cli.training.rows.layer_rows import split_store

if TYPE_CHECKING:
    from ghosttrack_cli.settings.schema import SAETrainingSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.store.read.row_order import Split

FEW_DOCUMENTS = 20
"""With fewer, what is held out is no sample of the text."""
SAY_LITTLE = "metrics on so few say little about other text"


def conditions(
    store: ActivationStore, layer: AnySite, training: SAETrainingSettings
) -> tuple[str, ...]:
    """What is said of a training that begins or goes on: rows that are missing, another device."""
    found = (unfinished(store), elsewhere(training.device))
    return tuple(f"layer {layer}: {words}" for words in found if words is not None)


def unfinished(store: ActivationStore) -> str | None:
    """That the store does not have all rows yet, and its text has more."""
    if store.complete or store.commit.corpus_ended:
        return None
    rows = f"{store.rows:,} of {store.commit.asked_rows:,} requested rows"
    return f"the store has {rows}; training uses only these; ghosttrack extract adds the rest"


def elsewhere(device: str) -> str | None:
    """That training takes the CPU where the device asked for, or found, cannot be used."""
    if devices.resolve_device(device).type != "mps":
        return None
    return "training on the CPU: Apple's MPS has no float64, which training needs"


def held_out(store: ActivationStore, training: SAETrainingSettings) -> dict[str, Any] | None:
    """What will be held out of a store of few documents; None where there are enough.

    `unit`, `held_out`, `parts` as in the manifest of a training, and `words` for people.
    """
    documents = (store.commit.text or {}).get("documents")
    if documents is not None and documents >= FEW_DOCUMENTS:
        return None
    split = split_store(store, training.val_fraction, training.seed)
    if split.unit == "documents" and split.parts >= FEW_DOCUMENTS:
        return None
    numbers = {"unit": split.unit, "held_out": split.held_out, "parts": split.parts}
    return {**numbers, "words": in_words(split)}


def few_documents(documents: int) -> str | None:
    """The same of text that is not extracted yet; None where there are enough."""
    if documents >= FEW_DOCUMENTS:
        return None
    of = f"some of only {documents} documents"
    held = of if documents > 1 else "blocks of windows of the only document"
    return f"training will hold out {held}: {SAY_LITTLE}"


def in_words(split: Split) -> str:
    """What will be held out, and what that means."""
    if split.parts < 2:
        return "too little text to train on: at least two windows with usable tokens are needed"
    of = f"{split.held_out} of {split.parts} {split.unit}"
    whole = "" if split.unit == "documents" else " of the only document"
    return f"training holds out {of}{whole}: {SAY_LITTLE}"
