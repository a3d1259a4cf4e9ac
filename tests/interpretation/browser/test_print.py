"""The page on paper: light, legible without backgrounds, without controls, not cut."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from tests.interpretation.browser.conftest import Reports, Visit

ON_PAPER = """() => [...document.querySelectorAll('.example .painted')].map(node => {
    const style = getComputedStyle(node);
    return {
        act: node.tokenFacts.activation,
        ink: style.color,
        fill: ghosttrack_test.rgb(style.backgroundColor),
        line: parseFloat(style.borderBottomWidth),
        kept: style.printColorAdjust,
    };
})"""
RGB = """() => {
    const pixel = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    window.ghosttrack_test = {rgb: colour => {
        pixel.clearRect(0, 0, 1, 1);
        pixel.fillStyle = colour;
        pixel.fillRect(0, 0, 1, 1);
        return [...pixel.getImageData(0, 0, 1, 1).data];
    }};
}"""


def on_paper(page: Page) -> None:
    page.emulate_media(media="print")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")


def test_the_strongest_token_is_darkest_with_and_without_backgrounds(
    site: Reports, visit: Visit
) -> None:
    page = visit(site, "#layer=6&feature=8", theme="dark")
    on_paper(page)
    page.evaluate(RGB)
    found = sorted(page.evaluate(ON_PAPER), key=lambda one: one["act"])
    assert {one["ink"] for one in found} == {"rgb(0, 0, 0)"}
    assert {one["kept"] for one in found} == {"exact"}
    for weaker, stronger in pairwise(found):
        assert stronger["line"] >= weaker["line"]
        assert sum(stronger["fill"][:3]) <= sum(weaker["fill"][:3])
    assert found[-1]["line"] > 3 * found[0]["line"]
    assert sum(found[-1]["fill"][:3]) < sum(found[0]["fill"][:3])
    paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    ink = page.locator("h1").evaluate("node => ghosttrack_test.rgb(getComputedStyle(node).color)")
    assert max(ink[:3]) < 60


def test_paper_has_no_controls_and_says_what_it_is_about(site: Reports, visit: Visit) -> None:
    page = visit(site, "#layer=6&feature=8")
    on_paper(page)
    for control in (".skip", ".top", ".walk", ".crumbs", ".segmented", "#help"):
        assert not page.locator(control).first.is_visible()
    title, about = page.locator("h1"), page.locator(".about-page summary")
    box = title.bounding_box()
    assert box is not None
    assert box["y"] >= 0
    assert "tiny · layer 6 · store (old books), 10,000 rows" in about.inner_text()


def test_a_long_list_prints_its_first_rows_and_says_so(site: Reports, visit: Visit) -> None:
    page = visit(site, "#layer=6&view=features")
    on_paper(page)
    assert page.locator(".body-row").count() == 200
    tops = page.locator(".body-row").evaluate_all(
        "rows => rows.map(r => r.getBoundingClientRect().top)"
    )
    assert tops == sorted(tops)
    assert len(set(tops)) == 200
    assert "The first 200 of 300 rows" in page.locator("p.print-only").inner_text()
    page.emulate_media(media="null")
    page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert page.locator(".body-row").count() < 60
    pages = re.findall(rb"/Type\s*/Page\b", page.pdf())
    assert 4 <= len(pages) <= 12
