"""Places in a model: how they are written, read, ordered and named by other programs."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghosttrack_cli import site
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.site import POINTS, Site, hook_site, in_order, parse_layers, parse_points, usual

SITES = st.builds(Site, st.integers(0, 999_999), st.sampled_from(POINTS))


def test_the_examples_of_the_module_hold() -> None:
    assert doctest.testmod(site).failed == 0


@given(SITES)
def test_what_is_written_is_read_back(one: Site) -> None:
    assert Site.parse(str(one)) == Site.parse(one.json) == Site.of_array(one.array) == one
    assert hook_site(one.hook_name) == usual(one)


@given(SITES, SITES)
def test_equal_sites_have_equal_hashes_and_one_order(one: Site, other: Site) -> None:
    assert (one == other) == (str(one) == str(other))
    assert (hash(one) == hash(other)) or one != other
    assert (one < other) + (other < one) + (one == other) == 1


@pytest.mark.parametrize("name", ["blocks.6.hook_mlp_in", "blocks.6.attn.hook_z", "layers.6", None])
def test_other_hooks_are_no_site(name: str | None) -> None:
    assert hook_site(name) is None


def test_a_layer_is_the_stream_after_its_block() -> None:
    assert {6: "a"}[Site(6)] == "a"  # type: ignore[index]
    assert Site(6) == 6
    assert Site(6, "mlp_out") != 6
    assert Site(5, "mlp_out") < Site(5) < 6
    assert Site.of(6).array == "layers/06/resid_post"
    assert in_order([6, Site(6), Site(6, "resid_pre"), 2]) == (
        Site(2),
        Site(6, "resid_pre"),
        Site(6),
    )


@pytest.mark.parametrize("text", ["", "6.", "06", "6.hook", "-1", "6.mlp_out ", "True", "6.0", "٦"])
def test_what_is_no_site_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a site"):
        Site.parse(text)


@pytest.mark.parametrize(
    ("text", "points", "expected"),
    [
        ("2,4", "resid_post,mlp_out", "2.mlp_out,2,4.mlp_out,4"),
        ("2, 0-1.MLP_out", "resid_post", "0.mlp_out,1.mlp_out,2"),
        ("2.attn_out,2", "mlp_in", "2.attn_out,2.mlp_in"),
        ("all", "resid_pre", "0.resid_pre,1.resid_pre,2.resid_pre,3.resid_pre,4.resid_pre"),
        ("middle", "resid_mid", "2.resid_mid"),
    ],
)
def test_choices_of_layers_and_points(text: str, points: str, expected: str) -> None:
    assert ",".join(map(str, parse_layers(text, 5, parse_points(points)))) == expected


@pytest.mark.parametrize("text", ["2.post", "2.", ".mlp_out", "mlp_out", "2-4.mlp_out.mlp_in"])
def test_a_malformed_choice_is_refused_with_what_is_valid(text: str) -> None:
    with pytest.raises(UsageError, match="not a choice of layers") as refused:
        parse_layers(text, 5)
    assert "6.mlp_out" in str(refused.value.hint)


def test_an_unknown_point_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="not a hook point: 'post'"):
        parse_points("resid_post,post")
