"""The parts of an interpretation, with what each takes of the time."""

from __future__ import annotations

from ghosttrack_cli.monitor import Part, outline

MODEL, TEXTS, SAES, LAYERS, PAGE = outline(
    ("loading model", 8), ("opening texts", 2), ("loading SAEs", 2), ("layers", 83), ("page", 5)
)
WEIGHTS, ROWS, ANSWERS, LOSSES, REPORTS = outline(
    ("weights", 10), ("rows", 45), ("comparing answers", 5), ("losses", 20), ("reports", 20)
)
"""Of layers that go through the rows together."""
FEATURES, WRITING = outline(("describing features", 90), ("writing report", 10))
"""Of the report of one layer."""
COUNTING = Part("counting rows", TEXTS.stop, TEXTS.stop)
TIMING = Part("timing a little of the work", SAES.stop, 1.0)
"""Of a plan."""
PROMPT_MODEL, PROMPT_FEATURES, PROMPT_PAGE = outline(
    ("loading model", 70), ("features", 20), ("page", 10)
)
