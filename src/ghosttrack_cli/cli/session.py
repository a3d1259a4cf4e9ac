"""One run of one command: its options, its settings, its console, its log lines."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ghosttrack_cli import files
from ghosttrack_cli.cli.hints import for_workspace, of_stage, shell_word, without
from ghosttrack_cli.cli.terminal.console import Console
from ghosttrack_cli.cli.terminal.output import visible
from ghosttrack_cli.errors import DiskError, GhostTrackError, UsageError
from ghosttrack_cli.machine import clock, signals
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.settings.flags import flag_names, flags_of
from ghosttrack_cli.settings.remembered import remember
from ghosttrack_cli.stage_request import StageRequest
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ghosttrack_cli.cli.options import Options
    from ghosttrack_cli.settings.remembered import Stage
    from ghosttrack_cli.settings.resolve import Resolved
    from ghosttrack_cli.settings.schema import Settings

Section = TypeVar("Section")
LOG_BYTES = 2**22
"""Of the log; one that is full becomes ghosttrack.log.1, and what that was is gone."""
EARLIER_STORE = (
    "extract --overwrite has not stored any rows yet: the earlier store is used until it has"
)
STOPPING = "stopping after this step (press Ctrl-C again to quit now)"


@dataclass(frozen=True)
class Session:
    """What a command needs to do its work; settings are loaded when first asked for."""

    command: str
    options: Options
    overrides: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: bool = True
    """Whether GHOSTTRACK_* variables count."""
    logged: bool = False
    """Whether the workspace's log has what this run does."""
    _unwritten: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    @cached_property
    def console(self) -> Console:
        """The sink of this run."""
        return Console(quiet=bool(self.options.quiet))

    @cached_property
    def resolved(self) -> Resolved:
        """The settings in force with their origins."""
        from ghosttrack_cli.settings.resolve import resolve

        config = None if self.options.config is None else Path(self.options.config)
        given = dict(self.overrides)
        if self.options.workspace is not None:
            given["paths.workspace"] = self.options.workspace
        labels = {"paths.workspace": "--workspace", **self.labels}
        found = resolve(config, given, labels, environment=self.environment)
        for problem in found.problems:
            self.console.notice(problem)
        return found

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.resolved.settings

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace of this run."""
        return Workspace(self.settings.paths.workspace)

    def request(self, settings: Section, *, overwrite: bool = False) -> StageRequest[Section]:
        """What a stage with these settings is told."""
        whole = self.settings
        cache_dir = whole.paths.cache_dir
        return StageRequest(
            whole.model, whole.corpus, settings, self.workspace, cache_dir, overwrite
        )

    def again(self, command: str) -> str:
        """The command line for a next step in the same workspace with the same settings file.

        What `command` itself says of the two, as one out of the log may, gives way.
        """
        given = {"--config": self.options.config, "--workspace": self.options.workspace}
        for flag, value in given.items():
            if value is not None:
                command = f"{without(command, flag)} {flag} {shell_word(value)}"
        return f"ghosttrack {command}"

    def here(self, hint: str) -> str:
        """A hint whose commands are for the same workspace with the same settings file."""
        return for_workspace(hint, self.again)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Within it errors are those of `stage`, and their hints name options that there are."""
        try:
            yield
        except GhostTrackError as error:
            raise self.of_stage(stage, error) from error.__cause__

    def of_stage(self, stage: Stage, error: GhostTrackError) -> GhostTrackError:
        """An error of `stage` with a hint for whoever runs it by this command."""
        if error.hint is not None and self.command != stage:
            error.hint = of_stage(error.hint, stage, self.command, self._given_to(stage))
        return error

    def _given_to(self, stage: Stage) -> dict[str, str]:
        """The options of this command that `stage` takes too, with their values."""
        taken = {flag.keys[0] for flag in flags_of(stage)} | {"extraction.layers"}
        return {
            self.labels[key]: shell_word(str(value))
            for key, value in self.overrides.items()
            if key in taken and key in self.labels
        }

    def emit(self, document: dict[str, Any], show: Callable[[Console], None]) -> None:
        """Give the result: one JSON document with --json, else what `show` writes."""
        if self.options.json:
            self.console.document({"command": self.command, **document})
        else:
            show(self.console)

    @contextmanager
    def monitor(self, title: str | None = None, *, stage: Stage | None = None) -> Iterator[Monitor]:
        """The callbacks of a stage while it runs: parts, progress, notices, stop signals.

        `title` is what it is called, else as the command. What `stage` was told is remembered once
        it accepts that. Enter it before modules are imported that take seconds.
        """
        quiet_libraries(loud=bool(self.options.verbose or self.options.debug))
        self._say_remembered(stage)
        if stage != "extract":
            self.say_earlier_store()
        with (
            signals.stop_on_signals() as stop,
            self.console.progress(title or self.command) as (begin, report),
        ):
            stop_signal, accepted = self._announced(stop), self._remembering(stage)
            yield Monitor(report, self._notice, stop_signal, begin, accepted)

    def say_earlier_store(self) -> None:
        """Say that `extract --overwrite` has no rows yet, so that what was there before is used."""
        from ghosttrack_cli.store.format.commit_record import standing

        if standing(self.workspace.store) != self.workspace.store:
            self.console.notice(EARLIER_STORE)

    def _notice(self, text: str) -> None:
        self.console.notice(text)
        if self.logged:
            self.log(f"note: {text}")

    def _remembering(self, stage: Stage | None) -> Callable[[], None]:
        def accepted() -> None:
            if stage is not None:
                remember(self.workspace.root, stage, self.resolved.told(stage))
            self._write_log()

        return accepted

    def _say_remembered(self, stage: Stage | None) -> None:
        """Which settings of a stage are as they were, because nobody gives them now."""
        from ghosttrack_cli.settings.fields import setting_fields

        fields = setting_fields()
        words = [
            f"{(flag_names(key) or (key,))[0]} {shell_word(str(one.value))}"
            for key, one in self.resolved.origins.items()
            if one.where == f"remembered from {stage}" and one.value != fields[key].default
        ]
        if words:
            self.console.detail(f"as before: {' '.join(words)}")

    def _announced(self, stop: Callable[[], int | None]) -> Callable[[], int | None]:
        told: list[int] = []

        def stop_signal() -> int | None:
            number = stop()
            if number is not None and not told:
                told.append(number)
                self.console.notice(STOPPING)
            return number

        return stop_signal

    def confirm_overwrite(self, what: str, *, yes: bool) -> None:
        """Make sure that the user wants `what` to be deleted.

        Raises:
            UsageError: declined, or nobody to ask and no --yes.
        """
        if yes:
            return
        answer = self.console.confirm(f"delete {what} and start over?")
        if answer is None:
            raise UsageError(f"--overwrite would delete {what}", hint="add --yes to do so")
        if not answer:
            raise UsageError(
                "nothing was deleted", hint="without --overwrite the command continues"
            )

    def log(self, event: str) -> None:
        """Append one line to the workspace's log; a disk that refuses it does not end the run."""
        from ghosttrack_cli.settings.resolve import mask_secrets

        words = f"{clock.utc_now()} {self.command} process {os.getpid()}: {event}"
        self._unwritten.append(visible(mask_secrets(words)))
        self._write_log()

    def _write_log(self) -> None:
        """Write what waits, once there is a workspace: a name mistyped makes no folder."""
        if self.workspace.root.is_dir():
            with suppress(DiskError):
                while self._unwritten:
                    files.append_line(self.workspace.log, self._unwritten[0], limit=LOG_BYTES)
                    del self._unwritten[0]


def quiet_libraries(*, loud: bool) -> None:
    """Keep the progress bars and warnings of libraries off the console, unless asked for."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if loud:
        return
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DATASETS_VERBOSITY", "error")
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
