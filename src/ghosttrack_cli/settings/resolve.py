"""Settings of one run: merged from all sources, validated once, each with its origin.

Flags > `GHOSTTRACK_*` environment > `ghosttrack.toml` > `ghosttrack.toml` in the workspace > what
the workspace remembers > preset > defaults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ghosttrack_cli.arguments import as_path
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.settings import origins
from ghosttrack_cli.settings.fields import SettingField, reference_toml, setting_fields, toml_value
from ghosttrack_cli.settings.origins import Given
from ghosttrack_cli.settings.remembered import is_kept, recall
from ghosttrack_cli.settings.schema import ORIGINAL_PRESET, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic_core import ErrorDetails

    from ghosttrack_cli.settings.remembered import Stage

__all__ = ["Explained", "Resolved", "explain_settings", "load_settings", "reference_toml"]

MAX_SHOWN = 60
GIVEN = frozenset({"flag", "environment", "file"})
SECRETS = re.compile(r"\bhf_\w{8,}|\bsk-[\w-]{8,}|(?<=://)[^/\s@]+@")


@dataclass(frozen=True)
class Resolved:
    """Validated settings and, for each key that somebody gave, who gave it."""

    settings: Settings
    origins: Mapping[str, Given]
    problems: tuple[str, ...] = ()
    """What the workspace remembers and cannot be used."""

    def is_given(self, key: str) -> bool:
        """Whether `key` came from a flag, the environment or a file."""
        return key in self.origins and self.origins[key].kind in GIVEN

    def value(self, key: str) -> Any:
        """The JSON value in force."""
        return _plain_value(self.settings.model_dump(mode="json"), key)

    def is_chosen(self, key: str) -> bool:
        """Whether `key` is given by itself or by a preset that is given."""
        return self.is_given(key) or self.is_given("preset")

    def told(self, stage: Stage) -> dict[str, Any]:
        """The settings, by dotted key, that a workspace remembers of `stage`; no secrets."""
        plain = self.settings.model_dump(mode="json")
        values = {key: _plain_value(plain, key) for key in setting_fields()}
        return {
            key: value
            for key, value in values.items()
            if is_kept(stage, key, given=self._is_set(key)) and _masked(value) == value
        }

    def _is_set(self, key: str) -> bool:
        return key in self.origins and self.origins[key].kind in {*GIVEN, "remembered"}


@dataclass(frozen=True)
class Explained:
    """A setting in force: its key, its value, and where that came from."""

    key: str
    value: Any
    origin: str


def load_settings(
    config: Path | str | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Load the settings in force.

    Args:
        config: the TOML file; default: ./ghosttrack.toml where there is one.
        overrides: values that win over everything, by section: {"sae": {"d_hidden": 8192}}.

    Raises:
        UsageError: an unknown key or a value that is not valid; says where it stands.

    Example:
        >>> load_settings(overrides={"sae_training": {"epochs": 5}}).sae_training.epochs
        5
    """
    path = None if config is None else as_path(config, "config")
    if not isinstance(overrides or {}, Mapping):
        raise UsageError("overrides: expected a dict", hint='pass {"sae": {"d_hidden": 8192}}')
    return resolve(path, overrides or {}).settings


def resolve(
    config: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    *,
    environment: bool = True,
) -> Resolved:
    """Merge all sources; `labels` names the flag behind an overridden key in messages.

    Without `environment` no GHOSTTRACK_* variable counts.
    """
    fields = setting_fields()
    path = origins.find_config(config)
    given = {} if path is None else origins.from_file(path, fields)
    given |= origins.from_environment(fields) if environment else {}
    given |= origins.from_mapping(overrides or {}, fields, "flag", labels or {})
    root = _workspace(given)
    given = _workspace_file(root, path, fields) | given
    remembered, problems = _recalled(root)
    try:
        return _merged(remembered | given, fields, problems)
    except UsageError:
        if not remembered:
            raise
        problem = (
            f"settings remembered in {root} do not fit this version or other settings: ignored"
        )
        return _merged(given, fields, [*problems, problem])


def _workspace(given: Mapping[str, Given]) -> Path:
    """Where the workspace is, before anything is validated."""
    chosen = given.get("paths.workspace")
    default = Settings.model_fields["paths"].default.workspace
    path = Path(str(default if chosen is None else chosen.value))
    try:
        return path.expanduser()
    except RuntimeError:  # refused when all settings are validated
        return path


def _workspace_file(root: Path, path: Path | None, fields: Iterable[str]) -> dict[str, Given]:
    """The settings file that lies in the workspace, if it is another one."""
    inside = root / origins.DEFAULT_FILE
    try:
        known = not inside.is_file() or (path is not None and path.samefile(inside))
    except (OSError, ValueError):
        return {}
    found = {} if known else origins.from_file(inside, fields)
    found.pop("paths.workspace", None)
    return found


def _recalled(root: Path) -> tuple[dict[str, Given], list[str]]:
    """What the workspace remembers, each with the stage that was told."""
    try:
        known, problems = recall(root)
    except ValueError:  # a path that no system has
        return {}, []
    given = {
        key: Given(value, "remembered", f"remembered from {stage}")
        for key, (stage, value) in known.items()
    }
    return given, problems


def _merged(
    given: dict[str, Given], fields: Mapping[str, SettingField], problems: Sequence[str]
) -> Resolved:
    given = {key: one for key, one in given.items() if key in fields or one.kind != "remembered"}
    if "preset" in given and given["preset"].value in ("original", "seed"):
        labels = dict.fromkeys(fields, "preset original")
        given = origins.from_mapping(ORIGINAL_PRESET, fields, "preset", labels) | given
    _refuse_booleans(given, fields)
    try:
        settings = Settings.model_validate(_nest(given))
    except ValidationError as error:
        raise _explain_error(error.errors()[0], given, fields) from None
    _check_together(settings, given)
    return Resolved(settings, given, tuple(problems))


def explain_settings(
    config: Path | str | None = None, overrides: Mapping[str, Any] | None = None
) -> list[Explained]:
    """All settings in force, each with its origin, in the order of the settings file."""
    return explain(resolve(None if config is None else Path(config), overrides))


def explain(resolved: Resolved) -> list[Explained]:
    """List resolved settings; secrets that strayed into a value are masked."""
    return [
        Explained(key, _masked(_value_of(resolved.settings, key)), _origin(resolved.origins, key))
        for key in setting_fields()
    ]


def _origin(origins: Mapping[str, Given], key: str) -> str:
    return origins[key].where if key in origins else "default"


def _value_of(settings: Settings, key: str) -> Any:
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _plain_value(document: Any, key: str) -> Any:
    for name in key.split("."):
        document = document[name]
    return document


def _masked(value: Any) -> Any:
    if isinstance(value, Path):
        value = str(value)
    return mask_secrets(value) if isinstance(value, str) else value


def mask_secrets(text: str) -> str:
    """Replace what looks like a token, a key or a password in an address.

    >>> mask_secrets("https://me:secret@host/x hf_abcdefghij")
    'https://***@host/x ***'
    """
    return SECRETS.sub(lambda match: "***@" if match[0].endswith("@") else "***", text)


def _nest(given: Mapping[str, Given]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, one in given.items():
        section, _, name = key.rpartition(".")
        target = nested.setdefault(section, {}) if section else nested
        target[name] = one.value
    return nested


def _refuse_booleans(given: Mapping[str, Given], fields: Mapping[str, SettingField]) -> None:
    """Python counts True as 1; nobody who writes `epochs = true` means one epoch."""
    for key, one in given.items():
        if isinstance(one.value, bool) and not fields[key].is_bool:
            raise _invalid(one, fields[key])


def _explain_error(
    details: ErrorDetails, given: Mapping[str, Given], fields: Mapping[str, SettingField]
) -> UsageError:
    location = [str(part) for part in details["loc"]]
    key = next(key for key in (".".join(location[:depth]) for depth in (2, 1)) if key in fields)
    cause = details.get("ctx", {}).get("error")
    return _invalid(given[key], fields[key], cause if isinstance(cause, UsageError) else None)


def _invalid(given: Given, field: SettingField, cause: UsageError | None = None) -> UsageError:
    shown = mask_secrets(_written(given))
    if len(shown) > MAX_SHOWN:
        shown = shown[:MAX_SHOWN] + "..."
    name = "" if given.kind in {"flag", "environment"} else f"{field.key} = "
    return UsageError(
        f"{given.where}: {name}{shown} is not valid, it takes {field.valid}",
        hint=(cause and cause.hint) or f"{field.key}: {field.description}",
    )


def _written(given: Given) -> str:
    """A value as it was typed: bare on the command line, as TOML in a file."""
    if given.kind == "file" and isinstance(given.value, str | bool):
        return toml_value(given.value)
    return str(given.value)


def _check_together(settings: Settings, given: Mapping[str, Given]) -> None:
    training = settings.sae_training
    low, high = training.target_sparsity_min, training.target_sparsity_max
    if low is not None and high is not None and low > high:
        raise UsageError(
            f"sae_training.target_sparsity_min ({low:g}) is above target_sparsity_max ({high:g})",
            hint="set both: "
            + ", ".join(
                f"{name} comes from {_origin(given, f'sae_training.{name}')}"
                for name in ("target_sparsity_min", "target_sparsity_max")
            ),
        )
