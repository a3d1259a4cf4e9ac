"""The parts of an extraction and of a repair, with what each takes of the time."""

from __future__ import annotations

from ghosttrack_cli.monitor import Part, outline

CHECKING, MODEL, BATCH_SIZE, TOKENS, LAST_CHUNKS = outline(
    ("checking model, text and disk", 4),
    ("loading model", 6),
    ("choosing the batch size", 2),
    ("tokens", 84),
    ("writing the last chunks", 4),
)
VERIFYING, MODEL_AGAIN, CORPUS_AGAIN, CHUNKS = outline(
    ("", 40), ("loading model", 8), ("opening corpus", 2), ("bad chunks", 50)
)
COMPARING = Part("comparing with the store", CHECKING.stop, 1.0)
"""What an extraction does that finds nothing to store."""
