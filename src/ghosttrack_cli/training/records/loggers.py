"""The history written elsewhere too, as it grows: TensorBoard and Weights & Biases, both extras.

What they show is derived from the history, so that a training that was stopped anywhere, and does
evaluations again that came after its checkpoint, leaves neither gaps nor duplicates there.
"""

from __future__ import annotations

import importlib
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ghosttrack_cli import files
from ghosttrack_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.training.records.history import History
    from ghosttrack_cli.workspace import Workspace

MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}
WANDB_SETTINGS = {"silent": True, "console": "off"}
"""It neither writes to the terminal nor sends what is written there."""


@dataclass(frozen=True)
class RunInfo:
    """What was set for a training, and where to say something about its run."""

    settings: Mapping[str, Any]
    notice: Callable[[str], None]


class Logger(Protocol):
    """Takes the entries of one layer's history, in order."""

    def write(self, entry: Mapping[str, float]) -> None:
        """Show one entry at its step."""
        ...

    def close(self) -> None:
        """Write nothing more."""
        ...


class TensorBoardLogger:
    """One run a layer; a new file takes the place of all that earlier ones said."""

    def __init__(self, workspace: Workspace, layer: AnySite, _run: RunInfo) -> None:
        module = _module("tensorboard")
        self._writer = module.SummaryWriter(str(workspace.tensorboard(layer)), purge_step=0)

    def write(self, entry: Mapping[str, float]) -> None:
        """Show one entry at its step."""
        for name, value in entry.items():
            self._writer.add_scalar(name, value, int(entry["step"]))
        self._writer.flush()

    def close(self) -> None:
        """Write nothing more."""
        self._writer.close()


class WandbLogger:
    """One run a layer, continued under the same id.

    Key, project and mode are wandb's own affair: it reads them from the environment.
    """

    def __init__(self, workspace: Workspace, layer: AnySite, run: RunInfo) -> None:
        module = _module("wandb")
        try:
            self._run = module.init(
                id=_run_id(workspace, layer),
                resume="allow",
                name=f"layer {layer}",
                config=dict(run.settings),
                dir=str(workspace.root),
                settings=WANDB_SETTINGS,
            )
        except module.Error as error:
            raise UsageError(
                f"log_to: wandb cannot start a run: {type(error).__name__}",
                hint="wandb login, or WANDB_MODE=offline",
            ) from error
        if self._run.url:
            run.notice(f"layer {layer}: {self._run.url}")

    def write(self, entry: Mapping[str, float]) -> None:
        """Show one entry at its step, unless the run has come that far before."""
        step = int(entry["step"])
        if step >= self._run.step:
            self._run.log(dict(entry), step=step, commit=True)

    def close(self) -> None:
        """Write nothing more."""
        self._run.finish()


LOGGERS: dict[str, Callable[[Workspace, AnySite, RunInfo], Logger]] = {
    "tensorboard": TensorBoardLogger,
    "wandb": WandbLogger,
}


def logger_names(log_to: str | None) -> tuple[str, ...]:
    """The names in a setting, all of them installed.

    Raises:
        UsageError: one is not.
    """
    names = tuple(log_to.split(",")) if log_to else ()
    for name in names:
        _module(name)
    return names


@contextmanager
def open_loggers(
    names: Sequence[str],
    workspace: Workspace,
    layer: AnySite,
    history: History,
    run: RunInfo,
) -> Iterator[tuple[Logger, ...]]:
    """Loggers that have seen `history`; they are closed in the end."""
    loggers: list[Logger] = []
    try:
        for name in names:
            loggers.append(LOGGERS[name](workspace, layer, run))
            for entry in history.entries():
                loggers[-1].write(entry)
        yield tuple(loggers)
    finally:
        for logger in loggers:
            logger.close()


def forget_loggers(workspace: Workspace, layer: AnySite) -> None:
    """Delete what earlier loggers left here, so that a new training is a new run."""
    files.remove(workspace.tensorboard(layer))
    files.remove(workspace.wandb_run(layer))


def _run_id(workspace: Workspace, layer: AnySite) -> str:
    """The id of the layer's run: drawn once, then kept until the training starts over."""
    path = workspace.wandb_run(layer)
    try:
        return str(files.read_sealed(path)["id"])
    except FileNotFoundError:
        document = {"id": secrets.token_hex(8)}
        files.write_sealed(path, document)
        return document["id"]


def _module(name: str) -> Any:
    try:
        return importlib.import_module(MODULES[name])
    except ImportError as error:
        raise UsageError(
            f"log_to: {name} is not installed", hint=f"pip install 'ghosttrack[{name}]'"
        ) from error
