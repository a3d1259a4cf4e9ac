"""Write what is generated: commands, settings file, report schema, models, tree.

.venv/bin/python -m tools.write_docs
"""

import json
from pathlib import Path

from tools.model_types import models_page
from tools.source_tree import with_tree

from ghosttrack_cli.cli.app import app
from ghosttrack_cli.cli.reference import command_reference
from ghosttrack_cli.report.schema import json_schema
from ghosttrack_cli.settings.resolve import reference_toml

ROOT = Path(__file__).parent.parent

(ROOT / "docs" / "commands.md").write_text(command_reference(app))
(ROOT / "docs" / "report.schema.json").write_text(
    json.dumps(json_schema(), indent=1, sort_keys=True) + "\n"
)
(ROOT / "docs" / "models.md").write_text(models_page())
(ROOT / "ghosttrack.toml").write_text(reference_toml())
architecture = ROOT / "docs" / "architecture.md"
architecture.write_text(with_tree(architecture.read_text(), ROOT / "src" / "ghosttrack_cli"))
