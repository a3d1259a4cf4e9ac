"""The demo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from ghosttrack_cli.cli.execution import log_lines
from ghosttrack_cli.cli.output import Line, Span, Table, line
from ghosttrack_cli.cli.session import Session
from ghosttrack_cli.errors import UsageError

if TYPE_CHECKING:
    from ghosttrack_cli.interpretation.report import FeatureReport

WORKSPACE = "ghosttrack-demo"
SETTINGS: dict[str, dict[str, Any]] = {
    "corpus": {"source": "python-docs"},
    "extraction": {"layers": "2,4", "tokens": 100_000, "context_length": 256, "batch_size": 8},
    "sae": {"d_hidden": 1024, "target_l0": 24},
    "sae_training": {
        "epochs": 3,
        "batch_size": 1024,
    },
}
SHOWN_FEATURES = 3
SHOWN_EXAMPLES = 5


def demo(session: Session) -> None:
    """Run all stages on the packaged model in a scratch workspace, and show what came out."""
    if session.options.config is not None:
        raise UsageError(
            "demo brings its own settings file", hint="leave --config out, or use ghosttrack run"
        )
    inner = demo_session(session)
    with log_lines(inner, "ghosttrack demo"):
        outcome = run_all(inner)
    overview, step = look(inner)
    blocks: list[Line | Table] = [*status_blocks(inner, overview, step), line()]
    for layer, feature in interesting_features(inner):
        blocks += [*feature_blocks(layer, feature, examples=SHOWN_EXAMPLES), line()]
    blocks.append(line("open in a browser: ", Span(str(inner.workspace.browser), "bold cyan")))
    document = {
        **outcome.document,
        "status": status_document(inner, overview, step, None),
        "browser": str(inner.workspace.browser),
    }
    session.emit(document, lambda console: console.blocks(blocks))


def demo_session(session: Session) -> Session:
    """The session of the real commands: it reads the settings file that lies in the workspace."""
    root = Path(session.options.workspace or WORKSPACE).expanduser()
    files.make_folder(root)
    path = root / FILE_NAME
    files.write_text(path, settings_toml(Path(__file__).parents[2] / "demo", root))
    options = replace(session.options, config=str(path), workspace=None)
    return Session("demo", options, session.overrides, session.labels)


def settings_toml(model: Path, root: Path) -> str:
    """The demo's settings as a file that the other commands can read too."""
    from ghosttrack_cli.setting_fields import toml_value

    sections = {
        "model": {"name": str(model)},
        **SETTINGS,
        "paths": {"workspace": str(root)},
    }
    lines = ["# The settings of ghosttrack demo."]
    for name, section in sections.items():
        lines += ["", f"[{name}]", *(f"{key} = {toml_value(one)}" for key, one in section.items())]
    return "\n".join(lines) + "\n"


def interesting_features(session: Session) -> list[tuple[int, FeatureReport]]:
    """The most telling features of the last layer."""
    stored = present_reports(session.workspace)[-1]
    found = choose_features([(stored, read_report(stored))], Choice())[:SHOWN_FEATURES]
    return [(stored.layer, read_feature(stored, one.feature)) for one in found]
