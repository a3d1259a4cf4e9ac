"""The same stage twice, once left alone and once killed: both must leave the same files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.forks import Ended, Forks
    from tests.store.kills import Kill
    from tests.support.files import Tree

    from ghosttrack_cli.workspace import Workspace


class Twins(ABC):
    """Two workspaces that take the same steps."""

    def __init__(self, forks: Forks, whole: Workspace, killed: Workspace) -> None:
        self.forks, self.whole, self.killed = forks, whole, killed

    @abstractmethod
    def request(self, workspace: Workspace, step: dict[str, Any]) -> dict[str, Any]:
        """What the program of `forks` is asked for."""

    @abstractmethod
    def left(self, workspace: Workspace) -> Tree:
        """What a step leaves, to be equal in both."""

    @abstractmethod
    def kill(self, step: dict[str, Any], kill: Kill) -> bool:
        """Take the step in `killed`, check what the kill left, and tell whether it struck."""

    def run(self, workspace: Workspace, step: dict[str, Any]) -> Ended:
        """Take the step to its end."""
        return self.forks.run(self.request(workspace, step))

    def step(self, step: dict[str, Any], choose: Callable[[Ended], list[Kill]]) -> int:
        """How many kills struck, of those chosen for a run like the whole one."""
        points = choose(self.run(self.whole, step))
        struck = sum(self.kill(step, point) for point in points)
        self.run(self.killed, step)
        assert self.left(self.killed) == self.left(self.whole)
        return struck
