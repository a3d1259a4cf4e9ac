"""The original's `print_feature_summary`: one feature of `analyze_sae`'s result in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ghosttrack_cli.cli.actions.drawing import quoted, token_text
from ghosttrack_cli.cli.terminal.console import Console
from ghosttrack_cli.cli.terminal.output import Line, Span, line
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.quantities import format_figure

EXAMPLES = 5
DEAD = {"feature_id", "active"}
RECORD = DEAD | {
    *("num_activations", "top_activation", "mean_activation", "common_tokens", "top_examples")
}


def print_feature_summary(interpretation: Mapping[str, Any]) -> None:
    """Print a feature's activation statistics, common tokens and top examples.

    Args:
        interpretation: one record of `analyze_sae` or of layer_N_interpretations.json.

    Raises:
        UsageError: it is no such record.

    Example:
        >>> print_feature_summary(analyze_sae(folder, model, 6, texts)[12])
    """
    if not isinstance(interpretation, Mapping) or not _is_record(interpretation):
        raise UsageError(
            "interpretation: not one record of analyze_sae",
            hint="pass one element of its list: print_feature_summary(interpretations[0])",
        )
    Console().lines(*_summary(interpretation))


def _is_record(one: Mapping[str, Any]) -> bool:
    """Whether all that is printed is there; of a dead feature that is little."""
    return one.keys() >= DEAD and (not one["active"] or one.keys() >= RECORD)


def _summary(one: Mapping[str, Any]) -> list[Line]:
    lines = [line(Span(f"Feature {one['feature_id']}", "bold"))]
    if not one["active"]:
        return [*lines, line("  dead: it never fired")]
    common = ", ".join(f"{quoted(text)} ({count})" for text, count in one["common_tokens"])
    lines += [
        line(f"  activations  {one['num_activations']:,}"),
        line(
            f"  top {format_figure(one['top_activation'])}, mean"
            f" {format_figure(one['mean_activation'])}"
        ),
        line(f"  common tokens  {common}"),
        line("  top examples"),
    ]
    return lines + [
        line(f"    {format_figure(example['activation']):>8}  ", token_text(example["text"]))
        for example in one["top_examples"][:EXAMPLES]
    ]
