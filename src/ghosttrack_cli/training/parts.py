"""The parts of one layer's training, with what each takes of the time."""

from __future__ import annotations

from ghosttrack_cli.monitor import outline

OPENING, SURVEY, READING, STEPS, SAVING, EVALUATION, CALIBRATION, CALIBRATED, FIRINGS, WRITING = (
    outline(
        ("opening", 1),
        ("survey", 4),
        ("reading rows", 2),
        ("steps", 80),
        ("saving", 1),
        ("evaluation", 3),
        ("calibrating thresholds", 3),
        ("evaluation, calibrated", 3),
        ("counting firings", 2),
        ("writing", 1),
    )
)
