"""How a stage talks to whoever runs it: parts and figures out, notices out, the wish to stop in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, TypeVar

from ghosttrack_cli.site import named_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ghosttrack_cli.site import AnySite

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """A part of a stage's work, named as people read it: "loading model".

    `start` and `stop` are its place in the whole stage, from 0 to 1 of the time that the stage is
    expected to take; both 0 where nothing is known. `of` is what the part belongs to: "layer 6".
    """

    name: str
    start: float = 0.0
    stop: float = 0.0
    of: str = ""

    def within(self, whole: Part) -> Part:
        """The same part of a stage that is itself a part of another one."""
        length = whole.stop - whole.start
        start, stop = whole.start + self.start * length, whole.start + self.stop * length
        return Part(self.name, start, stop, self.of or whole.name)


def outline(*parts: tuple[str, float]) -> tuple[Part, ...]:
    """The parts of a stage in their order, from their names and rough shares of its time.

    >>> [(part.name, part.stop) for part in outline(("loading model", 1), ("tokens", 3))]
    [('loading model', 0.25), ('tokens', 1.0)]
    """
    total = sum(weight for _, weight in parts)
    edges = accumulate((weight / total for _, weight in parts), initial=0.0)
    return tuple(
        Part(name, start, stop)
        for (name, _), (start, stop) in zip(parts, pairwise(edges), strict=True)
    )


def by_layers(groups: Sequence[Sequence[AnySite]], whole: Part | None = None) -> tuple[Part, ...]:
    """What groups of layers take of `whole`, one after the other, named "layer 6 (1 of 2)".

    >>> [part.name for part in by_layers([[0, 3], [6]])]
    ['layers 0,3 (1-2 of 3)', 'layer 6 (3 of 3)']
    """
    if not groups:
        return ()
    ends = list(accumulate(map(len, groups)))
    names = (_layers(group, end, ends[-1]) for group, end in zip(groups, ends, strict=True))
    parts = outline(*zip(names, map(len, groups), strict=True))
    return tuple(replace(part.within(whole), of="") if whole else part for part in parts)


def _layers(group: Sequence[AnySite], last: int, count: int) -> str:
    words = named_layers(group)
    first = last - len(group) + 1
    place = f"{last}" if len(group) == 1 else f"{first}-{last}"
    return words if len(group) == count else f"{words} ({place} of {count})"


@dataclass(frozen=True)
class Progress:
    """How far a part is.

    `part` is its name; `done` of `total` counts `unit`s, with `total` None while unknown; `figures`
    are the numbers that matter, already named as people read them and in display order, e.g.
    {"loss": 0.12, "L0": 71.3}. Rate and time left are the viewer's.
    """

    part: str
    done: int
    total: int | None
    unit: str
    figures: Mapping[str, float | str] = field(default_factory=dict)


def _ignore(_: object) -> None:
    return


def _nothing() -> None:
    return


def _no_signal() -> int | None:
    return None


@dataclass(frozen=True)
class Monitor:
    """The callbacks of one run: all silent by default.

    `begin` says which part of the work comes now; it ends where the next one begins. Everything
    that may take more than a second is in some part. `progress` may be called often (the viewer
    throttles). `notice` is for one line that the user must see: what was changed, skipped, retried
    or approximated. `stop_signal` gives the number of the signal that asked to stop, or None; a
    stage looks at it after every step, commits, and raises `Stopped`.
    """

    progress: Callable[[Progress], None] = _ignore
    notice: Callable[[str], None] = _ignore
    stop_signal: Callable[[], int | None] = _no_signal
    begin: Callable[[Part], None] = _ignore
    accepted: Callable[[], None] = _nothing
    """Called once a stage has checked what it was told against what is there, and goes on."""

    def within(self, whole: Part) -> Monitor:
        """The callbacks for work that is the part `whole` of this one's."""
        return replace(self, begin=lambda part: self.begin(part.within(whole)))

    def counted(
        self,
        part: Part,
        items: Iterable[Item],
        total: int | None,
        unit: str,
        size: Callable[[Item], int] = lambda _: 1,
    ) -> Iterator[Item]:
        """Begin `part` and report each item once the loop over it asks for the next one.

        An item is `size(item)` of the `total` units.
        """

        def count() -> Iterator[Item]:
            done = 0
            for item in items:
                yield item
                done += size(item)
                self.progress(Progress(part.name, done, total, unit))

        self.begin(part)
        return count()


SILENT = Monitor()
