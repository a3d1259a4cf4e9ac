"""What can go wrong for a user, each with where it happened and what to do next.

GhostTrackError
├── UsageError          exit 2   flags and settings
├── StateError          exit 3   what is on disk does not fit, a lock is held, a check is not met
│   ├── ConflictError            names the fields that differ
│   └── LockedError              names the process that holds the lock
├── CorpusError         exit 1   no text, or text that cannot be read
├── HubError            exit 1   the hub cannot be reached or refuses
├── ModelError          exit 1   a model that cannot be loaded or gives values that are not finite
├── CorruptionError     exit 1   bytes on disk that are not those that were committed
├── DiskError           exit 1   the operating system refused to read or write
└── TrainingError       exit 1   training that cannot go on

Stopped is no error: a stage raises it after it has committed because a signal asked it to stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class GhostTrackError(Exception):
    """A failure that the user can act on: what, where, and a hint.

    Args:
        what: one sentence without a final full stop.
        hint: the command to run or the setting to change next.

    Example:
        >>> try:
        ...     JumpReLUSAE.load("nowhere")
        ... except GhostTrackError as error:
        ...     print(error.what, error.hint, sep="; ")
        no SAE here: nowhere; ghosttrack train writes one for each layer
    """

    exit_code = 1

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class UsageError(GhostTrackError, ValueError):
    """A flag or a setting with a value that cannot be used."""

    exit_code = 2


class StateError(GhostTrackError):
    """What lies in the workspace does not allow what was asked."""

    exit_code = 3


class ConflictError(StateError):
    """An artefact made with other settings; `fields` maps each name to (on disk, asked)."""

    def __init__(
        self,
        what: str,
        *,
        fields: Mapping[str, tuple[object, object]],
        hint: str | None = None,
    ) -> None:
        lines = [
            f"  {name}: {found} on disk, {asked} requested"
            for name, (found, asked) in fields.items()
        ]
        super().__init__("\n".join([what, *lines]), hint=hint)
        self.fields = dict(fields)


class LockedError(StateError):
    """Another process writes here."""


class CorpusError(GhostTrackError):
    """Text that is missing, empty or unreadable."""


class HubError(GhostTrackError, ConnectionError):
    """The hub cannot be reached, refuses, or does not have what was asked.

    `transient` is True where the same request may succeed later, so that it is worth a retry.
    """

    def __init__(self, what: str, *, hint: str | None = None, transient: bool = False) -> None:
        super().__init__(what, hint=hint)
        self.transient = transient


class ModelError(GhostTrackError):
    """A model that cannot be loaded or whose activations are not finite."""


class CorruptionError(GhostTrackError):
    """Bytes on disk differ from those that were committed."""


class DiskError(GhostTrackError, OSError):
    """The operating system refused to read or write `path`."""

    def __init__(self, what: str, *, path: Path, hint: str | None = None) -> None:
        super().__init__(what, hint=hint)
        self.path = path


class TrainingError(GhostTrackError):
    """Training that cannot go on, for instance a loss that is not finite."""


class Stopped(BaseException):
    """Raised by a stage after it has committed, because `signal_number` asked it to stop.

    `saved` is False where there was nothing to commit yet, and what was there before stands.
    """

    def __init__(self, signal_number: int, *, saved: bool = True) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number
        self.saved = saved

    @property
    def exit_code(self) -> int:
        """The shell's convention: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal_number
