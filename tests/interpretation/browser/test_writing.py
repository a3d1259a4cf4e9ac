"""The folder that is written: complete, the same each time, and safe whatever the text says."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghosttrack_cli._version import __version__
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.files import seal_text, sealed_text
from ghosttrack_cli.report.feature_flags import MEANINGS
from ghosttrack_cli.report.script import script

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interpretation.browser.conftest import Reports


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def change(reports: Reports, old: str, new: str) -> None:
    """Another text in the report of layer 6, sealed and listed anew."""
    text, _ = sealed_text(reports.folder / "layer_6" / "store" / "report.json")
    reports.change(6, "report.json", seal_text(text.decode().replace(old, new))[0])


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists))
def test_a_script_says_the_data_and_nothing_else(payload: Any) -> None:
    text = script("layer_6/index", payload).decode()
    head = 'ghosttrack.deliver("layer_6/index", '
    assert text.startswith(head)
    assert json.loads(text[len(head) : -3]) == payload
    assert not re.search("[<>&\u2028\u2029]", text)


def test_a_lone_surrogate_becomes_its_escape() -> None:
    assert b'"\\ud800"' in script("a", "\ud800")


def test_every_example_and_figure_is_there(reports: Reports) -> None:
    reports.add(6, 300, contrast=True).write()
    columns = reports.data("layer_6/store/index")
    assert columns["rate"] == reports.layers[6].index.rate
    seen = 0
    for part, first in enumerate(columns["shards"]):
        shard = reports.data(f"layer_6/store/features-{part:04d}")
        assert shard["first"] == first == seen
        for packed in shard["features"]:
            check_feature(packed, shard, reports.features[6][seen])
            seen += 1
    assert seen == 300


def check_feature(packed: dict[str, Any], shard: dict[str, Any], report: Any) -> None:
    plain = report.model_dump(mode="json", exclude={"examples"})
    assert {key: packed[key] for key in plain} == plain
    for found, example in zip(packed["examples"], report.examples, strict=True):
        assert [shard["texts"][place] for place in found["tokens"]] == example.texts
        assert [shard["ids"][place] for place in found["tokens"]] == example.ids
        acts = dict(zip(found["at"], found["acts"], strict=True))
        assert [acts.get(place, 0.0) for place in range(len(example.ids))] == example.acts
        assert (found["peak"], found["act"]) == (example.peak, example.act)


def test_writing_again_gives_the_same_bytes(reports: Reports) -> None:
    reports.add(0, 30).add(6, 40, contrast=True).prompt([6])
    before = files(reports.write().parent)
    (reports.folder / "browser" / "data" / "layer_0" / "store" / "made_from.json").unlink()
    assert files(reports.write().parent) == before


def test_a_layer_that_did_not_change_is_left_alone(reports: Reports) -> None:
    reports.add(0, 30).add(6, 40).write()
    index = reports.folder / "browser" / "data" / "layer_6" / "store" / "index.js"
    right = index.read_bytes()
    touched = right.replace(b"firings", b"touched")  # as long as it was
    index.write_bytes(touched)
    reports.write()
    assert index.read_bytes() == touched
    change(reports, "Made by hand.", "Made again.")
    reports.write()
    assert index.read_bytes() == right


def test_layers_and_prompts_that_are_gone_leave_nothing(reports: Reports) -> None:
    reports.add(0, 30).add(6, 40).prompt([6]).write()
    shutil.rmtree(reports.folder / "layer_6")
    reports.write()
    data = reports.folder / "browser" / "data"
    assert not (data / "layer_6").exists()
    assert not (data / "prompt.js").exists()
    assert [layer["layer"] for layer in reports.data("catalogue")["layers"]] == [0]


def test_without_reports_there_is_a_page_that_says_so(reports: Reports) -> None:
    page = reports.write()
    assert page == reports.folder / "index.html"
    assert reports.data("catalogue") == {
        "version": __version__,
        "flags": MEANINGS,
        "layers": [],
        "damaged": [],
        "prompt": False,
        "prompt_damaged": False,
    }


def test_the_shell_forbids_everything_else(reports: Reports) -> None:
    text = reports.write().read_text()
    assert "default-src 'none'; script-src 'self' file:; style-src 'self' file:" in text
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    for name in re.findall(r'(?:src|href)="(browser/[^"]+)"', text):
        assert (reports.folder / name).is_file()


def test_no_text_reaches_a_file_as_markup(reports: Reports, hostile: tuple[str, ...]) -> None:
    reports.add(6, 30, words=hostile, contrast=True, name=hostile[0]).prompt([6], hostile)
    reports.write()
    for name, content in files(reports.folder / "browser" / "data").items():
        if name.endswith(".js"):
            assert not re.search("[<>&\u2028\u2029\x00]", content.decode()), name


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("report.json", "{}", "not a LayerReport"),
        ("report.json", "{", "not a LayerReport"),
        ("features/000.json", None, "missing from a report"),
        ("features/000.json", '{"layer": "six"}', "not a FeatureShard"),
    ],
)
def test_a_report_that_cannot_be_read_is_named(
    reports: Reports, name: str, content: str | None, named: str
) -> None:
    reports.add(6, 30)
    path = reports.folder / "layer_6" / "store" / name
    path.unlink()
    if content is not None:
        reports.change(6, name, seal_text(content)[0])
    with pytest.raises(CorruptionError, match=named) as caught:
        reports.write()
    assert str(path) in str(caught.value)


def test_a_shard_outside_the_report_is_refused(reports: Reports) -> None:
    reports.add(6, 30)
    change(reports, "features/000.json", "../../secret.json")
    with pytest.raises(CorruptionError, match="not the name of a shard"):
        reports.write()
