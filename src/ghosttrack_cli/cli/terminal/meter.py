"""How fast a part goes and how long it still takes, from its own reports."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 30.0


class Meter:
    """Rate over the last half minute; work that a resumed stage found done does not count."""

    def __init__(self) -> None:
        self._reports: deque[tuple[float, int]] = deque()

    def update(self, seconds: float, done: int) -> None:
        """Note that `done` units were done at `seconds`."""
        self._reports.append((seconds, done))
        while len(self._reports) > 2 and seconds - self._reports[1][0] > WINDOW_SECONDS:
            self._reports.popleft()

    @property
    def rate(self) -> float | None:
        """Units a second, None until there is something to measure."""
        if len(self._reports) < 2:
            return None
        (first, before), (last, after) = self._reports[0], self._reports[-1]
        return (after - before) / (last - first) if last > first and after > before else None

    def seconds_left(self, total: int | None) -> float | None:
        """Time to `total` at the present rate."""
        if total is None or self.rate is None:
            return None
        return max(0.0, (total - self._reports[-1][1]) / self.rate)
