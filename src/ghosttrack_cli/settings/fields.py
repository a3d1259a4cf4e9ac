"""Every setting by its dotted key: what it means, what it accepts, its default."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator

from ghosttrack_cli.quantities import MAX_AMOUNT, parse_amount
from ghosttrack_cli.settings.flags import flag_names
from ghosttrack_cli.settings.schema import Section, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
HEADER = """\
# The settings of GhostTrack with their defaults: remove the "#" before a key to change it.
#
# Flags win over GHOSTTRACK_* variables of the environment, those over this file, this file over
# the preset, the preset over the defaults shown here. The variable of `d_hidden` in [sae] is
# GHOSTTRACK_SAE__D_HIDDEN. `ghosttrack config show` lists the values in use and their origin.
"""
EXAMPLES = {
    "model.revision": "main",
    "corpus.config": "default",
    "corpus.encoding": "cp1252",
    "corpus.revision": "main",
    "extraction.context_length": 512,
    "extraction.batch_size": 8,
    "sae.d_model": 768,
    "sae.lambda_sparse": 0.01,
    "sae.target_l0": 64,
    "sae_training.learning_rate": 0.002,
    "sae_training.target_recon_loss": 0.01,
    "sae_training.target_sparsity_min": 50.0,
    "sae_training.target_sparsity_max": 100.0,
    "sae_training.patience": 5,
    "sae_training.revive_rows": 2000,
    "sae_training.evaluation_rows": 8192,
    "sae_training.checkpoint_steps": 1000,
    "sae_training.layers_at_once": 1,
    "sae_training.log_to": "tensorboard",
    "interpretation.max_texts": 1000,
    "interpretation.max_tokens": 1_000_000,
    "paths.cache_dir": "cache",
}


@dataclass(frozen=True)
class SettingField:
    """One setting: `valid` says in words which values it takes."""

    key: str
    description: str
    default: Any
    valid: str
    is_bool: bool


def setting_fields() -> dict[str, SettingField]:
    """All settings by key, in the order of the settings file."""
    return {field.key: field for field in _walk()}


def section_names() -> dict[str, str]:
    """Each section with the sentence that describes it."""
    return {
        name: (field.annotation.__doc__ or "").partition(": ")[2].strip().rstrip(".")
        for name, field in Settings.model_fields.items()
        if _is_section(field) and field.annotation is not None
    }


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _walk() -> Iterator[SettingField]:
    for name, field in Settings.model_fields.items():
        if _is_section(field):
            assert isinstance(field.annotation, type)
            assert issubclass(field.annotation, Section)
            for key, inner in field.annotation.model_fields.items():
                yield _describe(f"{name}.{key}", inner)
        else:
            yield _describe(name, field)


def _describe(key: str, field: FieldInfo) -> SettingField:
    base, metadata = _unwrap(field.annotation, list(field.metadata))
    return SettingField(
        key=key,
        description=field.description or "",
        default=field.default,
        valid=_valid(base, metadata, field.description or ""),
        is_bool=base is bool,
    )


def _unwrap(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any]]:
    """The type behind `X | None` and `Annotated[X, ...]`, with all constraints on the way."""
    if get_origin(annotation) in {Union, UnionType}:
        (inner,) = (arg for arg in get_args(annotation) if arg is not NoneType)
        return _unwrap(inner, metadata)
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        found = [c for item in more for c in getattr(item, "metadata", None) or [item]]
        return _unwrap(inner, [*metadata, *found])
    return annotation, metadata


def _valid(base: Any, metadata: list[Any], description: str) -> str:
    if get_origin(base) is Literal:
        return "one of " + ", ".join(str(value) for value in get_args(base))
    if any(isinstance(item, BeforeValidator) and item.func is parse_amount for item in metadata):
        return f"an amount from 1 to {MAX_AMOUNT:,}, written 250000, 300k or 1M"
    if base in {int, float}:
        return _valid_number("a whole number" if base is int else "a number", metadata)
    if base is bool:
        return "true or false"
    if base is Path:
        return "a path"
    return f"text: {description}"


def _valid_number(noun: str, metadata: list[Any]) -> str:
    bounds = {name: getattr(c, name) for c in metadata for name in BOUNDS if hasattr(c, name)}
    if {"ge", "le"} <= bounds.keys():
        return f"{noun} from {bounds['ge']:,} to {bounds['le']:,}"
    words = [
        f"{BOUNDS[name]} {'2**63' if bound == 2**63 else format(bound, ',')}"
        for name, bound in bounds.items()
    ]
    return f"{noun} " + " and ".join(words) if words else noun


def toml_value(value: Any) -> str:
    """Write a setting's value as TOML; JSON strings, numbers and booleans are TOML too."""
    return json.dumps(value.as_posix() if isinstance(value, Path) else value, ensure_ascii=False)


def reference_toml() -> str:
    """The settings file with every key commented out, described, and with its default."""
    lines = [HEADER]
    section = ""
    sections = section_names()
    for field in setting_fields().values():
        name, _, key = field.key.rpartition(".")
        if name != section:
            lines.extend([f"\n# {sections[name]}", f"[{name}]", ""])
            section = name
        lines.extend(_reference_lines(field, key))
    return "\n".join(lines).rstrip() + "\n"


def _reference_lines(field: SettingField, key: str) -> list[str]:
    names = flag_names(field.key)
    notes = [] if field.valid.startswith("text: ") else [field.valid]
    notes += [f"flag {name}" for name in names]
    unset = field.default is None
    notes += ["not set by default"] if unset else []
    value = EXAMPLES[field.key] if unset else field.default
    about = [f"# {field.description}", *([f"# ({'; '.join(notes)})"] if notes else [])]
    return [*about, f"#{key} = {toml_value(value)}", ""]
