"""What a running stage has told: the part that it is in, how far that is, and since when."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from ghosttrack_cli.cli.terminal.meter import Meter
from ghosttrack_cli.machine import clock
from ghosttrack_cli.monitor import Part, Progress

STARTING = Part("loading libraries")
REPORT_SECONDS = 0.1
"""Between two reports that the rate is taken from."""
SHORT_PART = 0.1
"""Of the whole: from shorter parts nothing is said about the time of all."""


@dataclass(frozen=True)
class Standing:
    """A stage at one moment: seconds since it and its part began, and what is left of both."""

    stage: str
    part: Part
    seconds: float
    part_seconds: float
    progress: Progress | None
    rate: float | None
    part_left: float | None

    @property
    def share(self) -> float | None:
        """How much of the part is done, None where its end is not known."""
        if self.progress is None or not self.progress.total:
            return None
        return min(1.0, self.progress.done / self.progress.total)

    @property
    def whole(self) -> float:
        """How much of the stage is done."""
        return self.part.start + (self.part.stop - self.part.start) * (self.share or 0.0)

    @property
    def left(self) -> float | None:
        """Time to the end of the stage, if this part is long enough to tell."""
        length = self.part.stop - self.part.start
        if length < SHORT_PART or self.part_left is None or not self.progress or not self.rate:
            return None
        part_takes = (self.progress.total or 0) / self.rate
        return self.part_left + part_takes * (1 - self.part.stop) / length


class Board:
    """Takes what a stage tells, from any thread, and gives how it stands."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._lock = threading.Lock()
        self._started = self._part_started = self._reported = clock.monotonic()
        self._part = STARTING
        self._progress: Progress | None = None
        self._meter = Meter()

    def begin(self, part: Part) -> bool:
        """Note that a part begins; whether it is another one than before."""
        with self._lock:
            return self._begin(part)

    def _begin(self, part: Part) -> bool:
        if part == self._part:
            return False
        self._part, self._progress, self._meter = part, None, Meter()
        self._part_started = clock.monotonic()
        return True

    def report(self, progress: Progress) -> bool:
        """Note how far a part is, which begins it if need be; whether that began one."""
        with self._lock:
            begins = progress.part != self._part.name
            if begins:
                self._begin(Part(progress.part, self._part.stop, self._part.stop))
            now = clock.monotonic()
            finished = progress.total is not None and progress.done >= progress.total
            first = self._progress is None
            self._progress = progress
            if first or finished or now - self._reported >= REPORT_SECONDS:
                self._reported = now
                self._meter.update(now, progress.done)
            return begins

    def standing(self) -> Standing:
        """The stage as it is now."""
        with self._lock:
            now, progress = clock.monotonic(), self._progress
            return Standing(
                stage=self.stage,
                part=self._part,
                seconds=now - self._started,
                part_seconds=now - self._part_started,
                progress=progress,
                rate=self._meter.rate,
                part_left=self._meter.seconds_left(progress.total) if progress else None,
            )
