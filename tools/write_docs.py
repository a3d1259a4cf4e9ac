"""Write what is generated from the code: the command reference, ghosttrack.toml, report schema.

.venv/bin/python tools/write_docs.py
"""

import json
from pathlib import Path

from ghosttrack_cli.cli.app import app
from ghosttrack_cli.cli.reference import command_reference
from ghosttrack_cli.configuration import reference_toml
from ghosttrack_cli.interpretation.report import json_schema

ROOT = Path(__file__).parent.parent

(ROOT / "docs" / "commands.md").write_text(command_reference(app))
(ROOT / "docs" / "report.schema.json").write_text(
    json.dumps(json_schema(), indent=1, sort_keys=True) + "\n"
)
(ROOT / "ghosttrack.toml").write_text(reference_toml())
