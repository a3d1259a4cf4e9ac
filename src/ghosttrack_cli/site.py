"""A place in a model where a vector of d_model numbers a token can be read: a layer and a point."""

from __future__ import annotations

import operator
import re
from functools import total_ordering
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

from ghosttrack_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Point = Literal["resid_pre", "attn_out", "resid_mid", "mlp_in", "mlp_out", "resid_post"]
POINTS: tuple[Point, ...] = get_args(Point)
"""In the order in which a block computes them."""
RESID_POST: Point = "resid_post"
LAYERS_HINT = "--layers takes 6, 0,6,11, 0-5, 6.mlp_out, middle or all"
MAX_LAYERS = 10_000
"""More than any model has: for choices that are made before the model is known."""
LAYER = r"0|[1-9]\d{0,5}"
POINT = "|".join(POINTS)
SITE = rf"(?:{LAYER})(?:\.(?:{POINT}))?"
"""How a site is written in the name of a file, as a regular expression without groups."""
NORMALIZED = "ln2.hook_normalized"
"""What TransformerLens calls the input of the MLP."""
HOOKED = "|".join(point for point in POINTS if point != "mlp_in")
"""Called alike by TransformerLens; its hook_mlp_in is before the norm, not what the MLP reads."""
HOOK_NAME = re.compile(rf"blocks\.({LAYER})\.(?:hook_({HOOKED})|{re.escape(NORMALIZED)})", re.ASCII)


@total_ordering
class Site:
    """A layer and a hook point of its block.

    - `resid_pre`, `resid_mid`, `resid_post`: the residual stream before the block, between its
      attention and its MLP, and after it.
    - `attn_out`, `mlp_out`: what attention and MLP add to that stream.
    - `mlp_in`: what the MLP reads, after the norm before it.

    `resid_post` goes without saying: such a site is written as its layer, and is equal to that
    number, so that who knows no other point writes `6` everywhere.

    Args:
        layer: the number of the layer, from 0.
        point: the hook point.

    Raises:
        UsageError: an argument that cannot be what it is passed as.

    Example:
        >>> str(Site(6)), str(Site(6, "mlp_out")), Site(6) == 6, Site(6, "mlp_out") == 6
        ('6', '6.mlp_out', True, False)
    """

    __slots__ = ("layer", "point")

    def __init__(self, layer: int, point: Point = RESID_POST) -> None:
        if isinstance(layer, bool) or not hasattr(layer, "__index__"):
            raise UsageError(f"layer: expected a whole number, not {layer!r}", hint="pass an int")
        if point not in POINTS:
            raise UsageError(f"not a hook point: {point!r}", hint=f"pass one of {POINTS}")
        self.layer = operator.index(layer)
        self.point = point

    @classmethod
    def of(cls, value: AnySite) -> Site:
        """The site that is meant, where a layer alone means its `resid_post`."""
        return value if isinstance(value, Site) else cls(value)

    @classmethod
    def parse(cls, text: object) -> Site:
        """Read what `str` wrote, or the number of a layer; ValueError for anything else."""
        match = re.fullmatch(rf"({LAYER})(?:\.({POINT}))?", str(text), re.ASCII)
        if match is None:
            raise ValueError(f"not a site: {str(text)[:40]!r}")
        return cls(int(match[1]), cast("Point", match[2] or RESID_POST))

    @classmethod
    def of_array(cls, array: str) -> Site:
        """The site whose `array` this is; ValueError for any other array."""
        match = re.fullmatch(rf"layers/(\d{{2,6}})/({POINT})", array, re.ASCII)
        if match is None:
            raise ValueError(f"not the array of a site: {array[:40]!r}")
        return cls(int(match[1]), cast("Point", match[2]))

    @property
    def array(self) -> str:
        """The array of a store that holds its rows: "layers/06/resid_post"."""
        return f"layers/{self.layer:02d}/{self.point}"

    @property
    def hook_name(self) -> str:
        """What TransformerLens calls it: "blocks.6.hook_resid_post"."""
        name = NORMALIZED if self.point == "mlp_in" else f"hook_{self.point}"
        return f"blocks.{self.layer}.{name}"

    @property
    def json(self) -> int | str:
        """How documents have it: a number where it is the site of a layer, else "6.mlp_out"."""
        return self.layer if self.point == RESID_POST else str(self)

    def __str__(self) -> str:
        return str(self.layer) if self.point == RESID_POST else f"{self.layer}.{self.point}"

    def __repr__(self) -> str:
        return f"Site({self.layer}, {self.point!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.point == RESID_POST and self.layer == other
        if not isinstance(other, Site):
            return NotImplemented
        return (self.layer, self.point) == (other.layer, other.point)

    def __hash__(self) -> int:
        return hash(self.layer) if self.point == RESID_POST else hash((self.layer, self.point))

    def __lt__(self, other: AnySite) -> bool:
        return self.order < Site.of(other).order

    @property
    def order(self) -> tuple[int, int]:
        """What sites are sorted by: the layer, then the place in its block."""
        return self.layer, POINTS.index(self.point)


AnySite: TypeAlias = "Site | int"
"""A site; the number of a layer stands for its `resid_post`."""


def in_order(sites: Iterable[AnySite]) -> tuple[Site, ...]:
    """The sites, each once, in the order in which a model computes them."""
    return tuple(sorted({Site.of(site) for site in sites}))


def checked(sites: Iterable[AnySite], n_layers: int) -> tuple[Site, ...]:
    """The sites of a model with `n_layers`, in order; at least one.

    Raises:
        UsageError: a layer that the model does not have.
    """
    chosen = in_order(sites)
    assert chosen, "at least one layer"
    for site in chosen:
        if not 0 <= site.layer < n_layers:
            raise UsageError(f"layer out of range: {site.layer}, must be 0 to {n_layers - 1}")
    return chosen


def hook_site(hook_name: object) -> Site | None:
    """The site that TransformerLens calls so; None for any other name.

    The stream before a block is that after the one before it, which is the site's usual name.

    >>> str(hook_site("blocks.6.hook_mlp_out")), str(hook_site("blocks.6.hook_resid_pre"))
    ('6.mlp_out', '5')
    """
    match = HOOK_NAME.fullmatch(str(hook_name))
    if match is None:
        return None
    return usual(Site(int(match[1]), cast("Point", match[2] or "mlp_in")))


def usual(site: AnySite) -> Site:
    """Of the two names of the stream between two blocks, `resid_post` of the first."""
    site = Site.of(site)
    return Site(site.layer - 1) if site.point == "resid_pre" and site.layer else site


def parse_points(text: str) -> tuple[Point, ...]:
    """Read a choice of points: "resid_post,mlp_out".

    Raises:
        ValueError: not points.
    """
    names = [name.strip() for name in text.lower().split(",")]
    unknown = [name for name in names if name not in POINTS]
    if unknown:
        raise ValueError(f"not a hook point: {unknown[0][:40]!r}")
    return tuple(point for point in POINTS if point in names)


def parse_layers(
    text: str | int, n_layers: int, points: Sequence[Point] = (RESID_POST,)
) -> tuple[Site, ...]:
    """Read a choice of layers: "6", "0,6,11", "0-5", "6.mlp_out", "middle" or "all".

    The middle is n_layers // 2. A layer without a point means all of `points`.

    >>> [str(site) for site in parse_layers("0,4-5,6.mlp_out", 12)]
    ['0', '4', '5', '6.mlp_out']
    >>> [str(site) for site in parse_layers("middle", 12, ("mlp_out", "resid_post"))]
    ['6.mlp_out', '6']

    Raises:
        UsageError: malformed, or a layer that the model does not have.
    """
    text = str(text).strip().lower()
    if text in ("all", "middle"):
        layers = range(n_layers) if text == "all" else (n_layers // 2,)
        return in_order(Site(layer, point) for layer in layers for point in points)
    return in_order(
        site for part in text.split(",") for site in _part(part, text, n_layers, points)
    )


def _part(part: str, text: str, n_layers: int, points: Sequence[Point]) -> Iterable[Site]:
    match = re.fullmatch(rf"\s*(\d{{1,6}})(?:\s*-\s*(\d{{1,6}}))?(?:\.({POINT}))?\s*", part)
    if match is None:
        raise UsageError(f"not a choice of layers: {text[:40]!r}", hint=LAYERS_HINT)
    first, last = int(match[1]), int(match[2] or match[1])
    if last >= n_layers or first > last:
        raise UsageError(
            f"layer out of range: {part.strip()}, must be 0 to {n_layers - 1}", hint=LAYERS_HINT
        )
    named = (cast("Point", match[3]),) if match[3] else points
    return (Site(layer, point) for layer in range(first, last + 1) for point in named)


def named_layers(layers: Sequence[AnySite]) -> str:
    """Layers with the word before them.

    >>> named_layers([6]), named_layers([0, Site(6, "mlp_out")])
    ('layer 6', 'layers 0,6.mlp_out')
    """
    return f"layer{'' if len(layers) == 1 else 's'} {format_layers(layers)}"


def format_layers(layers: Iterable[AnySite]) -> str:
    """Write layers as `parse_layers` reads them: "0,6,6.mlp_out"."""
    return ",".join(str(layer) for layer in layers)
