"""Settings under which a pipeline on a tiny model takes seconds, as the text of a file."""

from __future__ import annotations

from typing import Any

from ghosttrack_cli.settings.fields import toml_value

SMALL: dict[str, dict[str, Any]] = {
    "extraction": {"context_length": 32, "batch_size": 4},
    "sae": {"d_hidden": 32, "target_l0": 6},
    "sae_training": {"epochs": 1, "batch_size": 256, "val_fraction": 0.2},
}


def small_settings(**sections: dict[str, Any]) -> str:
    """The small settings with what `sections` change; a value of None leaves a key out.

    >>> small_settings(sae={"d_hidden": 64}).split("[")[2]
    'sae]\\nd_hidden = 64\\ntarget_l0 = 6\\n'
    """
    lines: list[str] = []
    for section in dict.fromkeys([*SMALL, *sections]):
        values = {**SMALL.get(section, {}), **sections.get(section, {})}
        known = {key: value for key, value in values.items() if value is not None}
        lines += [f"[{section}]", *(f"{key} = {toml_value(value)}" for key, value in known.items())]
    return "".join(f"{line}\n" for line in lines)
