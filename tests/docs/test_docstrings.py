"""What is public says its arguments, what comes back or goes wrong, and shows an example."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import ghosttrack_cli

PUBLIC = sorted(set(ghosttrack_cli.__all__) - {"__version__"})
OWN_METHODS = {
    "ActivationStore": ("open", "read"),
    "GPT2WithResidualHooks": ("residuals", "logits"),
    "HiddenStateExtractor": ("extract_for_layer", "extract_all_layers"),
    "WikipediaCorpus": ("get_text_batches",),
}
METHODS = [(owner, name) for owner, names in OWN_METHODS.items() for name in names]


def documented(text: str) -> set[str]:
    """The arguments that a docstring has a line for."""
    section = re.search(r"^Args:\n((?:    .*\n|\n)+)", text + "\n", flags=re.MULTILINE)
    return set(re.findall(r"^    (\w+): ", section[1], flags=re.MULTILINE)) if section else set()


def parameters(what: Any) -> set[str]:
    if isinstance(what, type) and issubclass(what, Exception):
        return {"what", "hint"}
    given = inspect.signature(what).parameters.values()
    return {one.name for one in given if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "Settings"])
def test_what_is_public_names_its_arguments_and_shows_an_example(name: str) -> None:
    what = getattr(ghosttrack_cli, name)
    text = inspect.getdoc(what) or ""
    assert documented(text) == parameters(what)
    assert "\nExample:\n    >>> " in text
    if not isinstance(what, type):
        assert "\nRaises:\n" in text


def test_settings_show_how_they_are_loaded() -> None:
    assert ">>> load_settings(" in (inspect.getdoc(ghosttrack_cli.Settings) or "")


@pytest.mark.parametrize(("owner", "name"), METHODS)
def test_a_public_method_names_its_arguments_and_what_goes_wrong(owner: str, name: str) -> None:
    method = getattr(getattr(ghosttrack_cli, owner), name)
    text = inspect.getdoc(method) or ""
    assert documented(text) == parameters(method) - {"self"}
    assert "\nRaises:\n" in text
