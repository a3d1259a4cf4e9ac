"""The settings of the demo, which its help shows and its settings file holds."""

from __future__ import annotations

from typing import Any

from ghosttrack_cli.settings.catalogue import written

WORKSPACE = "ghosttrack-demo"
SETTINGS: dict[str, dict[str, Any]] = {
    "corpus": {"source": "python-docs"},
    "extraction": {"layers": "2,4", "tokens": 100_000, "context_length": 256, "batch_size": 8},
    "sae": {"d_hidden": 1024, "target_l0": 24},
    "sae_training": {"epochs": 3, "batch_size": 1024},
}
DEFAULTS = {
    "paths.workspace": WORKSPACE,
    **{
        f"{section}.{key}": written(value)
        for section, values in SETTINGS.items()
        for key, value in values.items()
    },
}
"""What help shows of each setting, by dotted key."""
