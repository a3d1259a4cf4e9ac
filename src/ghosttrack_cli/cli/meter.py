"""How fast a stage goes and how long it still takes, from its own reports."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from ghosttrack_cli.quantities import format_amount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.monitor import Progress

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


def format_seconds(seconds: float | None) -> str:
    """Write a duration: 45s, 3m20s, 2h05m.

    >>> format_seconds(45.2), format_seconds(200), format_seconds(7500), format_seconds(None)
    ('45s', '3m20s', '2h05m', '-')
    """
    if seconds is None:
        return "-"
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 60}m{whole % 60:02}s" if whole >= 60 else f"{whole}s"


def format_rate(meter: Meter, unit: str) -> str:
    """Write the rate with its unit: 8.1k tokens/s."""
    if meter.rate is None:
        return ""
    amount = format_amount(meter.rate) if meter.rate >= 10 else f"{meter.rate:.1f}"
    return f"{amount} {unit}/s"


def format_figures(figures: Mapping[str, float | str]) -> str:
    """Write the numbers that matter in their order: loss 0.0123  L0 66.2."""
    return "  ".join(
        f"{name} {value if isinstance(value, str) else format(value, '.3g')}"
        for name, value in figures.items()
    )


def plain_progress(progress: Progress, meter: Meter) -> str:
    """One line for a log: stage, how much of how much, rate, time left, figures."""
    done = f"{progress.done:,}"
    share = ""
    if progress.total:
        done += f"/{progress.total:,}"
        share = f"{100 * progress.done / progress.total:.0f}%"
    left = meter.seconds_left(progress.total)
    parts = [
        f"{progress.stage}:",
        f"{done} {progress.unit}",
        share,
        format_rate(meter, progress.unit),
        "" if left is None else f"{format_seconds(left)} left",
        format_figures(progress.figures),
    ]
    return "  ".join(part for part in parts if part)
