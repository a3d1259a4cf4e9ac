"""Search over everything that reports hold, and the switch between a layer's reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ghosttrack_cli.files import write_sealed

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.interpretation.browser.conftest import Reports, Visit

CHECKS = Path(__file__).with_name("checks.js").read_text()
CASES = json.loads((Path(__file__).parents[1] / "search_cases.json").read_text("utf-8"))


@pytest.fixture
def several(reports: Reports) -> Reports:
    """Layer 6 over the store and over TruthfulQA, newer, and layer 7 over the store."""
    reports.add(7, 40).add(6, 60).add(
        6, 60, words=(" lake", " boat"), contrast=True, source="truthfulqa"
    )
    reports.prompt([6, 7]).write()
    return reports


def arrive(page: Page, place: str) -> None:
    page.wait_for_function("place => document.documentElement.dataset.shown === place", arg=place)


def test_the_page_finds_what_the_rule_says(site: Reports, visit: Visit) -> None:
    page = visit(site)
    page.evaluate(CHECKS)
    found = {
        case["query"]: page.evaluate(
            "asked => checks.search(asked)", [CASES["features"], case["query"]]
        )
        for case in CASES["cases"]
    }
    assert found == {case["query"]: case["found"] for case in CASES["cases"]}


def test_one_search_over_all_layers_and_texts(several: Reports, visit: Visit) -> None:
    page = visit(several, "#layer=6&source=store&view=features")
    page.keyboard.press("/")
    page.keyboard.type("boat")
    page.get_by_text("No feature matches.").wait_for()
    page.get_by_role("link", name="Search all layers and texts").click()
    arrive(page, "#view=search&q=boat")
    page.wait_for_function(
        "() => /^\\d+ features$/.test(document.querySelector('.total-line').textContent)"
    )
    rows = page.locator(".body-row")
    sources = rows.evaluate_all("rows => [...new Set(rows.map(row => row.dataset.source))]")
    assert sources == ["truthfulqa"]
    assert page.locator(".chip.hit").first.inner_text() == "·boat"
    page.locator("#search").fill('"river king"')
    page.wait_for_function("() => location.hash.includes('river')")
    page.wait_for_function(
        "() => /^\\d+ features$/.test(document.querySelector('.total-line').textContent)"
    )
    layers = rows.evaluate_all("rows => [...new Set(rows.map(row => row.dataset.layer))].sort()")
    assert layers == ["6", "7"]
    rows.first.locator("a").click()
    page.wait_for_selector(".feature-head")


def test_a_layers_reports_are_switched_by_source(several: Reports, visit: Visit) -> None:
    page = visit(several, "#layer=6&feature=3")
    texts = page.get_by_label("Texts", exact=True)
    assert texts.input_value() == "truthfulqa"
    assert "truthfulqa, 10,000 rows" in page.locator(".about-page summary").inner_text()
    assert page.locator("section[aria-label='Fires on'] .chip").first.inner_text() == "·boat"
    texts.select_option("store")
    arrive(page, "#layer=6&source=store&feature=3")
    assert "store (old books), 10,000 rows" in page.locator(".about-page summary").inner_text()
    assert page.locator("section[aria-label='Fires on'] .chip").first.inner_text() == "·king"
    also = page.locator("section[aria-label='Also in'] tr[data-source='truthfulqa']")
    other = several.features[6][3]
    numbers = also.locator("data").evaluate_all("nodes => nodes.map(node => Number(node.value))")
    assert numbers == [other.rate, other.firings, other.max_act]
    also.locator("a").click()
    arrive(page, "#layer=6&source=truthfulqa&feature=3")
    page.keyboard.press("Escape")
    arrive(page, "#layer=6&source=truthfulqa&view=features")
    page.get_by_label("Layer", exact=True).select_option("7")
    arrive(page, "#layer=7&view=features")
    assert texts.is_hidden()
    page.evaluate("location.hash = '#layer=6&source=nowhere'")
    arrive(page, "#layer=6&source=nowhere")
    assert "It has reports over: truthfulqa, store" in page.locator("#main").inner_text()
    page.evaluate("location.hash = '#'")
    arrive(page, "#")
    shown = page.locator("tr[data-layer]").evaluate_all(
        "rows => rows.map(r => [r.dataset.layer, r.dataset.source])"
    )
    assert shown == [["6", "truthfulqa"], ["6", "store"], ["7", "store"]]
    texts.select_option("truthfulqa")
    arrive(page, "#source=truthfulqa")
    assert page.locator("tr[data-layer]").count() == 1


def test_both_menus_fit_a_phone(several: Reports, visit: Visit) -> None:
    page = visit(several, "#layer=6&feature=3", width=390)
    assert page.get_by_label("Texts", exact=True).is_visible()
    tabs, crumbs = page.locator(".tabs").bounding_box(), page.locator(".crumbs").bounding_box()
    assert tabs is not None
    assert crumbs is not None
    assert tabs["y"] + tabs["height"] <= crumbs["y"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_damaged_report_is_left_out_and_named(several: Reports, visit: Visit) -> None:
    (several.folder / "layer_6" / "store" / "report.json").write_text("{")
    several.write()
    page = visit(several)
    assert "layer 6 over store" in page.locator("#main").inner_text()
    assert page.locator("tr[data-layer]").count() == 2


def test_the_prompt_view_says_what_makes_it(several: Reports, visit: Visit) -> None:
    page = visit(several, "#view=prompt&layer=6")
    assert "ghosttrack interpret prompt" in page.locator(".made-by code").inner_text()
    first = page.locator(".prompt-feature[data-feature='4']")
    assert first.locator(".prompt-feature-head .chip").first.inner_text() == "·king"


def test_the_prompt_view_follows_the_texts_or_says_why_not(several: Reports, visit: Visit) -> None:
    page = visit(several, "#view=prompt&layer=6&source=truthfulqa")
    first = page.locator(".prompt-feature[data-feature='4'] .prompt-feature-head .chip").first
    assert first.inner_text() == "·king"
    known = page.locator(".prompt-feature[data-feature='4'] .chips .chip").first
    assert known.inner_text() == "·lake"
    note = page.locator("section[aria-label='Features'] .note")
    assert "over truthfulqa." in note.inner_text()
    page.get_by_label("Texts", exact=True).select_option("store")
    arrive(page, "#layer=6&source=store&view=prompt")
    assert known.inner_text() == "ing"
    assert "over store." in note.inner_text()
    page.get_by_role("link", name="Prompt").first.click()
    arrive(page, "#layer=6&source=store&view=prompt")
    page.evaluate("location.hash = '#view=prompt&source=truthfulqa'")
    arrive(page, "#view=prompt&source=truthfulqa")
    page.locator("[data-choice='7']").click()
    assert "Layer 7 has no report over truthfulqa." in note.inner_text()
    assert "over store." in note.inner_text()


def test_a_layer_without_the_prompt_says_so(several: Reports, visit: Visit) -> None:
    several.prompt([7]).write()
    page = visit(several, "#view=prompt&layer=6&source=store")
    note = page.locator("section[aria-label='Features'] .note").inner_text()
    assert "The prompt was not run through layer 6." in note


def test_a_damaged_prompt_is_named_and_the_page_stands(several: Reports, visit: Visit) -> None:
    (several.folder / "prompt.json").write_text("{")
    several.write()
    page = visit(several, "#view=prompt")
    assert "The file of the last prompt is damaged." in page.locator("#main").inner_text()


def test_a_report_of_an_earlier_sae_is_marked_on_every_page(several: Reports, visit: Visit) -> None:
    folder = several.folder.parent / "checkpoints" / "sae_layer_6_best"
    folder.mkdir(parents=True)
    sums = {"schema": 1, "sha256": {"sae_weights.safetensors": "1" * 64}}
    write_sealed(folder / "checksums.json", sums)
    several.write()
    said = (
        "Layer 6: the report is of an earlier SAE, whose features differ. "
        "Update it: ghosttrack interpret --layers 6"
    )
    page = visit(several)
    for place in (
        "#layer=6&source=store",
        "#layer=6&source=store&view=features",
        "#layer=6&source=truthfulqa&feature=3",
        "#layer=6&source=truthfulqa&view=contrast",
        "#view=prompt",
        "#view=search",
        "#",
    ):
        page.evaluate("place => { location.hash = place; }", place)
        arrive(page, place)
        assert page.locator("p.outdated").inner_text() == said, place
    marked = page.locator("tr[data-layer]").evaluate_all(
        "rows => rows.map(row => [row.dataset.layer, Boolean(row.querySelector('.outdated-flag'))])"
    )
    assert marked == [["6", True], ["6", True], ["7", False]]
    page.evaluate("location.hash = '#layer=7'")
    arrive(page, "#layer=7")
    assert page.locator("p.outdated").count() == 0


def test_charts_compare_layers_over_the_same_texts(several: Reports, visit: Visit) -> None:
    page = visit(several)
    assert "on the rows of store." in page.locator(".lede").inner_text()
    known = several.layers[7].counts.features + 60
    assert page.locator(".lede").inner_text().startswith(f"{known} features in 2 layers")
    page.get_by_label("Texts", exact=True).select_option("truthfulqa")
    arrive(page, "#source=truthfulqa")
    assert page.locator(".lede").inner_text().startswith("60 features in one layer")
    assert "on the rows of truthfulqa." in page.locator(".lede").inner_text()


def columns_of(reports: Reports) -> Any:
    return reports.data("layer_6/truthfulqa/index")


def test_the_files_of_each_report_stand_apart(several: Reports) -> None:
    catalogue = several.data("catalogue")
    folders = [report["folder"] for report in catalogue["layers"]]
    assert folders == ["layer_6/truthfulqa", "layer_6/store", "layer_7/store"]
    assert columns_of(several)["telling"] == several.layers[6].index.telling
