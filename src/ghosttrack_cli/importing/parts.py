"""The parts of an import, with what each takes of the time."""

from __future__ import annotations

from ghosttrack_cli.monitor import outline

READING, MODEL, ROWS, WRITING = outline(
    ("reading the SAE", 30), ("loading model", 30), ("checking on text", 30), ("writing", 10)
)
