"""Write what is generated from the code: command reference, settings file, report schema, tree.

.venv/bin/python -m tools.write_docs
"""

import json
from pathlib import Path

from tools.source_tree import with_tree

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
architecture = ROOT / "docs" / "architecture.md"
architecture.write_text(with_tree(architecture.read_text(), ROOT / "src" / "ghosttrack_cli"))
