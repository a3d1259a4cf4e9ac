"""`open`, `interpret prompt` where nothing can be written, and folders that are not made."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ghosttrack_cli.browser.prompt import PromptFeature, PromptLayer, PromptReport
from ghosttrack_cli.cli.actions.prompt import prompt_blocks, strongest_by_token
from ghosttrack_cli.cli.terminal.output import Table, plain
from ghosttrack_cli.site import AnySite, Site

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Ended


def test_open_opens_the_page_and_prints_its_path(
    ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def note(address: str) -> bool:
        opened.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", note)
    monkeypatch.setenv("DISPLAY", ":0")
    page = Path("here/interpretations/index.html")
    page.parent.mkdir(parents=True)
    page.write_text("page")
    ended = ghosttrack("open", "--workspace", "here")
    assert (ended.code, ended.out, ended.err) == (0, f"{page}\n", "")
    assert opened == [page.resolve().as_uri()]


def test_open_without_a_display_says_so(
    ghosttrack: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    page = Path("ghosttrack-data/interpretations/index.html")
    page.parent.mkdir(parents=True)
    page.write_text("page")
    ended = ghosttrack("open")
    assert (ended.code, ended.out) == (0, f"{page}\n")
    assert "open the file yourself" in ended.err
    assert ghosttrack("open", "--json").document["opened"] is False


def test_open_without_a_page_names_what_makes_one(ghosttrack: Callable[..., Ended]) -> None:
    ended = ghosttrack("open", "--workspace", "typo")
    assert ended.code == 3
    assert ended.error[1] == "ghosttrack interpret --workspace typo"
    assert not Path("typo").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("train",),
        ("interpret",),
        ("interpret", "list"),
        ("interpret", "prompt", "text"),
        ("export",),
    ],
)
def test_a_mistyped_workspace_makes_no_folder(
    ghosttrack: Callable[..., Ended], command: tuple[str, ...]
) -> None:
    ghosttrack(*command, "--workspace", "typo")
    assert not Path("typo").exists()


def test_each_feature_of_a_prompt_stands_beside_its_tokens() -> None:
    fired = [
        PromptFeature(feature=2, acts=[0.0, 0.5, 0.0]),
        PromptFeature(feature=0, acts=[0.0, 0.0, 2.0]),
    ]
    report = PromptReport(
        model="tiny",
        text="a cat",
        ids=[0, 1, 2],
        texts=["<s>", "a", " cat"],
        layers=[PromptLayer(layer=Site(6), features=fired)],
    )
    known: dict[AnySite, list[list[str]]] = {6: [[" cat", " dog"], [" the"], ["a", "an"]]}
    blocks = prompt_blocks(report, 10, known)
    lines = [plain(block).split() for block in blocks if not isinstance(block, Table)]
    assert lines == [
        ["layer", "6", "2", "features", "fire"],
        ["0", "2.00", "'", "cat'", "'", "dog'"],
        ["<s>a«", "cat»"],
        ["2", "0.500", "'a'", "'an'"],
        ["<s>«a»", "cat"],
        [],
    ]
    (table,) = [block for block in blocks if isinstance(block, Table)]
    assert [[span.text for span in row] for row in table.rows] == [
        ["'<s>'", "-"],
        ["'a'", "#2 0.500"],
        ["' cat'", "#0 2.00"],
    ]


def test_the_strongest_features_of_a_token_come_first_and_are_few() -> None:
    fired = [PromptFeature(feature=n, acts=[0.0, float(n % 4)]) for n in range(9)]
    layer = PromptLayer(layer=Site(6), features=fired)
    first, second = strongest_by_token(layer, 2)
    assert first == []
    assert [(act, one.feature) for act, one in second] == [
        (3.0, 3),
        (3.0, 7),
        (2.0, 2),
        (2.0, 6),
        (1.0, 1),
    ]
