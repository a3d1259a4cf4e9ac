"""Write docs/commands.md and ghosttrack.toml from the help and the settings themselves.

.venv/bin/python tools/write_reference.py
"""

from pathlib import Path

from ghosttrack_cli.cli.app import app
from ghosttrack_cli.cli.reference import command_reference
from ghosttrack_cli.configuration import reference_toml

ROOT = Path(__file__).parent.parent

(ROOT / "docs" / "commands.md").write_text(command_reference(app))
(ROOT / "ghosttrack.toml").write_text(reference_toml())
