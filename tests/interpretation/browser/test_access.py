"""By keyboard, by touch, by ear, in both themes, at every width."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from tests.interpretation.browser.conftest import Reports, Visit

VIEWS = (
    "#",
    "#layer=6",
    "#layer=6&view=features",
    "#layer=6&feature=8",
    "#layer=6&feature=5",
    "#layer=6&view=contrast",
    "#view=prompt&layer=6",
)
HARD = (
    "Donaudampfschifffahrtsgesellschaftskapitaenswitwe" * 3,
    " \u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "\u65e5\u672c\u8a9e\u306e\u9577\u3044\u6587\u7ae0" * 8,
    "e\u0301\u0323\u0302\u0308" * 12,
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
    " 123456789012345678901234567890",
    "\t\t\t\t",
    "https://example.org/" + "a/" * 60,
)


CHECKS = Path(__file__).with_name("checks.js").read_text()


FOCUS = """() => {
  const node = document.activeElement;
  if (!node || node === document.body) return null;
  const rings = [getComputedStyle(node), getComputedStyle(node, "::after")];
  const box = node.getBoundingClientRect();
  return {
    name: node.outerHTML.slice(0, 90),
    outline: Math.max(...rings.map(
      ring => ring.outlineStyle === "none" ? 0 : parseFloat(ring.outlineWidth)
    )),
    left: box.left,
    right: box.right,
    top: box.top,
    bottom: box.bottom,
  };
}"""


def asked(page: Page, name: str) -> Any:
    page.evaluate(CHECKS)
    return page.evaluate(f"checks.{name}()")


def open_each(page: Page, reports: Reports) -> Any:
    for place in VIEWS:
        page.evaluate("place => { location.hash = place }", place)
        page.wait_for_function(
            "place => document.documentElement.dataset.shown === place", arg=place
        )
        page.wait_for_timeout(60)
        yield place


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phones_keyboard_focus_is_always_seen(site: Reports, visit: Visit, theme: str) -> None:
    page = visit(site, width=390, theme=theme)
    for place in open_each(page, site):
        page.evaluate("document.activeElement?.blur()")
        seen = set()
        for _ in range(25):
            page.keyboard.press("Tab")
            focus = page.evaluate(FOCUS)
            if focus is None:
                break
            seen.add(focus["name"])
            assert focus["outline"] >= 2, (place, focus)
            assert 0 <= focus["left"] < focus["right"] <= 390, (place, focus)
            assert focus["bottom"] > 0, (place, focus)
            assert focus["top"] < 900, (place, focus)
        assert len(seen) > 5, place


def test_a_pointer_leaves_no_ring_behind(site: Reports, visit: Visit) -> None:
    page = visit(site, "#layer=6&feature=8")
    page.locator("[data-choice='bands']").click()
    assert page.evaluate("document.activeElement.matches(':focus-visible')") is False
    assert page.evaluate(FOCUS)["outline"] == 0


def test_a_finger_reads_a_bar_first_and_opens_it_with_the_second_tap(
    site: Reports, chromium: Browser
) -> None:
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, offline=True
    )
    try:
        page = context.new_page()
        page.goto((site.folder / "index.html").as_uri() + "#")
        page.wait_for_function("() => document.documentElement.dataset.shown === '#'")
        chart = page.locator("section[aria-label='L0'] svg").first
        chart.scroll_into_view_if_needed()
        bar = chart.locator("rect.bar, path.bar, .bar").nth(1)
        box = bar.bounding_box()
        assert box is not None
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.touchscreen.tap(*middle)
        page.locator(".tip").wait_for(state="visible")
        assert "Layer 6" in page.locator(".tip").inner_text()
        assert page.evaluate("location.hash") in {"", "#"}
        page.touchscreen.tap(195, 60)
        page.locator(".tip").wait_for(state="hidden")
        page.touchscreen.tap(*middle)
        page.touchscreen.tap(*middle)
        page.wait_for_function("() => location.hash.startsWith('#layer=6')")
    finally:
        context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_contrast_a_name_and_its_place(
    site: Reports, visit: Visit, theme: str
) -> None:
    page = visit(site, theme=theme, width=1440)
    assert page.locator("html").get_attribute("lang") == "en"
    for place in open_each(page, site):
        assert asked(page, "contrast") == [], place
        assert asked(page, "nameless") == [], place
        levels = asked(page, "headings")
        assert levels[0] == 1, place
        assert all(below <= above + 1 for above, below in pairwise(levels)), place
        assert page.locator("[title], svg title").count() == 0, place
        assert page.evaluate("() => document.getAnimations().length") == 0


@pytest.mark.parametrize("width", [390, 1024])
def test_nothing_is_wider_than_its_place(reports: Reports, visit: Visit, width: int) -> None:
    reports.add(6, 60, words=HARD, contrast=True).add(7, 60, words=HARD).prompt([6], HARD).write()
    page = visit(reports, width=width)
    for place in open_each(page, reports):
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
        assert asked(page, "wide") == [], place
        broken = page.locator("#main data").evaluate_all(
            "nodes => nodes.filter(n => n.getClientRects().length > 1).map(n => n.textContent)"
        )
        assert broken == [], place


def test_cards_stand_in_full_lines_at_every_width(site: Reports, visit: Visit) -> None:
    page = visit(site)
    for width in (1600, 1366, 1024, 800, 390):
        page.set_viewport_size({"width": width, "height": 900})
        tops = page.locator(".small-card").evaluate_all(
            "cards => cards.map(card => Math.round(card.getBoundingClientRect().top))"
        )
        lines = [tops.count(top) for top in set(tops)]
        assert len(tops) == 4
        assert len(set(lines)) == 1, (width, lines)


@pytest.mark.parametrize("sort", ["rate", "firings", "max", "mean"])
def test_a_phone_shows_the_column_that_the_list_is_sorted_by(
    site: Reports, visit: Visit, sort: str
) -> None:
    page = visit(site, f"#layer=6&view=features&sort=-{sort}", width=390)
    first = page.locator(".body-row[aria-rowindex='2']")
    names = {"rate": "rate", "firings": "firings", "max": "max_act", "mean": "mean_act"}
    index = getattr(site.layers[6].index, names[sort])
    shown = first.locator("data:visible").evaluate_all("nodes => nodes.map(n => Number(n.value))")
    assert shown == [max(index)]
    label = first.locator(f".cell-{sort}").evaluate(
        "node => getComputedStyle(node, '::before').content"
    )
    assert label == f'"{sort} "'


def test_names_bars_points_and_tokens_are_read_by_keyboard(site: Reports, visit: Visit) -> None:
    page = visit(site, "#layer=6&feature=8")
    tip = page.locator(".tip")
    page.keyboard.press("Tab")
    unreachable = page.locator("#main [data-tip]:not(.chip)").evaluate_all(
        "nodes => nodes.filter(node => node.tabIndex < 0).map(node => node.outerHTML)"
    )
    assert unreachable == []
    report = site.features[6][8]
    page.get_by_text("Rate", exact=True).first.focus()
    assert tip.inner_text() == "share of counted rows on which it fires"
    chart = page.locator("section[aria-label='Positions'] .chart")
    chart.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert f"{report.positions.counts[1]} firings in 1,000 rows" in tip.inner_text()
    example = report.examples[1]
    page.locator(".example .tokens").nth(1).focus()
    page.keyboard.press("ArrowRight")
    assert "activation 8.029" in tip.inner_text()
    page.keyboard.press("ArrowLeft")
    assert "not active" in tip.inner_text()
    assert f"id {example.ids[example.peak - 1]}" in tip.inner_text()
    assert page.evaluate("location.hash") == "#layer=6&feature=8"


def test_points_of_the_scatter_are_read_and_opened_by_keyboard(site: Reports, visit: Visit) -> None:
    page = visit(site, "#layer=6")
    page.wait_for_selector(".points.plain")
    page.locator("section[aria-label='Rate against strength'] .chart").focus()
    page.keyboard.press("Home")
    rates = site.layers[6].index.rate
    rarest = min((feature for feature in range(300) if rates[feature]), key=lambda one: rates[one])
    assert page.locator(".tip span").first.inner_text() == f"#{rarest}"
    page.keyboard.press("Enter")
    page.wait_for_selector(".feature-head")
    assert page.locator("h1").inner_text() == f"Feature #{rarest}"


def test_figures_and_ids_are_exact_when_asked(site: Reports, visit: Visit) -> None:
    page = visit(site, "#layer=6&feature=8")
    report = site.features[6][8]
    rate = page.locator("dl.facts data").first
    assert rate.inner_text() == "0.992\u00a0%".replace("0.992", f"{report.rate * 100:.3g}")
    page.keyboard.press("e")
    assert rate.inner_text() == repr(report.rate)
    shown = page.locator("section[aria-label='Fires on'] .chip").first.evaluate(
        "node => getComputedStyle(node, '::after').content"
    )
    assert str(report.tokens[0].id) in shown
    page.keyboard.press("e")
    assert rate.inner_text().endswith("%")


def test_every_view_says_what_it_is_about(site: Reports, visit: Visit) -> None:
    page = visit(site)
    for place in open_each(page, site):
        said = page.locator(".about-page summary").inner_text()
        assert "tiny" in said, place
        assert "store (old books), 10,000 rows" in said, place
        page.locator(".about-page summary").click()
        facts = page.locator(".about-page dl").inner_text()
        for fact in ("best (sae_layer_6_best)", "300 features", "000000000000", "GhostTrack 0."):
            assert fact in facts, (place, fact)
        assert "500 windows of up to 20 tokens" in facts
        assert "interpretation.top_examples = 10, sae.target_l0 = 24" in facts
