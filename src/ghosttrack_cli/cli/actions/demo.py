"""The demo."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.cli.actions.config import FILE_NAME
from ghosttrack_cli.cli.actions.feature_files import (
    present_reports,
    read_feature,
    read_report,
)
from ghosttrack_cli.cli.actions.feature_list import Choice, choose_features
from ghosttrack_cli.cli.actions.feature_view import feature_blocks
from ghosttrack_cli.cli.actions.run import run_all
from ghosttrack_cli.cli.actions.status import look, status_document
from ghosttrack_cli.cli.actions.status_view import status_blocks
from ghosttrack_cli.cli.demo_settings import SETTINGS, WORKSPACE
from ghosttrack_cli.cli.execution import log_lines
from ghosttrack_cli.cli.hints import shell_word
from ghosttrack_cli.cli.session import Session
from ghosttrack_cli.cli.terminal.output import Line, Span, Table, command_line, line
from ghosttrack_cli.errors import GhostTrackError, UsageError
from ghosttrack_cli.settings.catalogue import shown_default
from ghosttrack_cli.settings.origins import MAX_CONFIG_BYTES, PREFIX

if TYPE_CHECKING:
    from ghosttrack_cli.cli.terminal.console import Console
    from ghosttrack_cli.report.feature_schema import FeatureReport
    from ghosttrack_cli.settings.resolve import Resolved
    from ghosttrack_cli.site import Site

MARK = b"# The settings of ghosttrack demo."
OTHER_FOLDER = "leave --workspace out, or name a folder that is empty or does not exist"
SHOWN_NAMES = 5
SHOWN_FEATURES = 3
SHOWN_EXAMPLES = 5


def demo(session: Session) -> None:
    """Run all stages on the packaged model in a scratch workspace, and show what came out."""
    if session.options.config is not None:
        raise UsageError(
            "demo uses its own settings file",
            hint=f"leave --config out, or use ghosttrack run --config"
            f" {shell_word(session.options.config)} --workspace {shown_default('paths.workspace')}",
        )
    if any(name.startswith(PREFIX) and value for name, value in os.environ.items()):
        session.console.notice(f"demo has settings of its own: {PREFIX}* variables are not used")
    inner = demo_session(session)
    with log_lines(inner, "ghosttrack demo"):
        outcome = run_all(inner)
    overview, step = look(inner)
    blocks: list[Line | Table] = [*status_blocks(inner, overview, step), line()]
    features = interesting_features(inner)
    for layer, feature in features:
        blocks += [*feature_blocks(layer, feature, examples=SHOWN_EXAMPLES), line()]
    blocks.append(line("open in a browser: ", Span(str(inner.workspace.browser), "bold cyan")))
    document = {
        **outcome.document,
        "status": status_document(inner, overview, step, None),
        "browser": str(inner.workspace.browser),
    }

    def show(console: Console) -> None:
        console.blocks(blocks)
        layer, feature = features[0][0], features[0][1].feature
        following = ("open", f"interpret --layer {layer} --feature {feature}")
        console.detail("next:", *(command_line(inner.again(one)) for one in following))

    session.emit(document, show)


def demo_session(session: Session) -> Session:
    """The session of the real commands: its settings are the file that lies in the workspace.

    Raises:
        UsageError: the folder holds something else than a demo.
    """
    root = Path(session.options.workspace or WORKSPACE).expanduser()
    check_own(root)
    files.make_folder(root)
    path = root / FILE_NAME
    files.write_text(path, settings_toml(Path(__file__).parents[2] / "demo"))
    options = replace(session.options, config=None, workspace=str(root))
    return DemoSession(
        "demo", options, session.overrides, session.labels, environment=False, logged=True
    )


class DemoSession(Session):
    """Reads the demo's settings file and no other one."""

    @cached_property
    def resolved(self) -> Resolved:
        """The settings in force with their origins."""
        path = str(Path(str(self.options.workspace)) / FILE_NAME)
        options = replace(self.options, config=path)
        return Session(
            self.command, options, self.overrides, self.labels, environment=False
        ).resolved


def check_own(root: Path) -> None:
    """Refuse a folder that holds something else than a demo.

    Raises:
        UsageError: names what is there.
    """
    path = root / FILE_NAME
    try:
        own = path.is_file() and files.read_bytes(path, limit=MAX_CONFIG_BYTES).startswith(MARK)
        found = [] if own or not root.exists() else sorted(one.name for one in root.iterdir())
    except (OSError, GhostTrackError) as error:
        raise UsageError(f"demo cannot use {root}: {error}", hint=OTHER_FOLDER) from error
    if found:
        raise UsageError(
            f"demo only uses a folder of its own: {root} holds {', '.join(found[:SHOWN_NAMES])}",
            hint=OTHER_FOLDER,
        )


def settings_toml(model: Path) -> str:
    """The demo's settings as a file that the other commands can read too."""
    from ghosttrack_cli.settings.fields import toml_value

    sections = {"model": {"name": str(model)}, **SETTINGS}
    lines = [MARK.decode()]
    for name, section in sections.items():
        lines += ["", f"[{name}]", *(f"{key} = {toml_value(one)}" for key, one in section.items())]
    return "\n".join(lines) + "\n"


def interesting_features(session: Session) -> list[tuple[Site, FeatureReport]]:
    """The most telling features of the last layer."""
    stored = present_reports(session.workspace)[-1]
    found = choose_features([(stored, read_report(stored))], Choice())[:SHOWN_FEATURES]
    return [(stored.layer, read_feature(stored, one.feature)) for one in found]
