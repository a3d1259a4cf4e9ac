"""Where settings come from: file, environment, preset, flags, each as dotted keys with origins."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, DiskError, UsageError
from ghosttrack_cli.quantities import expand_home

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PREFIX = "GHOSTTRACK_"
CONFIG_VARIABLE = "GHOSTTRACK_CONFIG"
DEFAULT_FILE = Path("ghosttrack.toml")
MAX_CONFIG_BYTES = 2**20
EVERY_KEY = "writes a file with every key and its meaning"
SHOW_HINT = f"ghosttrack config init --path example.toml {EVERY_KEY}"
ENVIRONMENT_HINT = "keys and tokens belong in the environment, as HF_TOKEN, never in settings"

Kind = Literal["flag", "environment", "file", "remembered", "preset", "default"]


@dataclass(frozen=True)
class Given:
    """A value that somebody gave; `where` names the flag, the variable, or the file and line."""

    value: Any
    kind: Kind
    where: str


def find_config(config: Path | None) -> Path | None:
    """The settings file to read: the one asked for, GHOSTTRACK_CONFIG's, or ./ghosttrack.toml.

    Raises:
        UsageError: a file that was asked for does not exist.
    """
    named = str(config) if config else os.environ.get(CONFIG_VARIABLE)
    if not named:  # an empty variable is as good as none
        return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
    asked = Path(named)
    try:
        asked = Path(expand_home(named))
        exists = asked.is_file()
    except (OSError, ValueError):
        exists = False
    if not exists:
        origin = "--config" if config else CONFIG_VARIABLE
        raise UsageError(
            f"{origin}: no such file: {asked}",
            hint=f"ghosttrack config init --path {shlex.quote(str(asked))} {EVERY_KEY}",
        )
    return asked


def from_file(path: Path, keys: Iterable[str]) -> dict[str, Given]:
    """Read a TOML file.

    Raises:
        UsageError: malformed, or a key that does not exist; file and line are named.
    """
    try:
        text = files.read_bytes(path, limit=MAX_CONFIG_BYTES).decode()
        document = tomllib.loads(text)
    except (DiskError, CorruptionError, FileNotFoundError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    except RecursionError as error:
        raise UsageError(f"{path}: not valid TOML: nested too deeply") from error
    except ValueError as error:
        raise UsageError(f"{path}: not valid TOML: {error}", hint=SHOW_HINT) from error
    lines = key_lines(text)
    found: dict[str, Given] = {}
    sections = {key.partition(".")[0] for key in keys if "." in key}
    for key, value in _flatten(document):
        if value == {} and key in sections:
            continue
        line = _line_of(key, lines)
        where = f"{path}, line {line}" if line else f"{path}"
        found[key] = Given(_strings_of_lists(value), "file", where)
    check_known({key: given.where for key, given in found.items()}, keys)
    return found


def _strings_of_lists(value: Any) -> Any:
    """`layers = [0, 6, 11]` and `hook = ["resid_post", "mlp_out"]`, as a TOML writer expects."""
    plain = isinstance(value, list) and all(type(item) in (int, str) for item in value)
    return ",".join(str(item) for item in value) if plain else value


def _flatten(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict) and value and not prefix:
            yield from _flatten(value, f"{key}.")
        else:
            yield f"{prefix}{key}", value


def key_lines(text: str) -> dict[str, int]:
    """The line of every section and key of a TOML text, as far as a scan for "key =" can tell."""
    found: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[\[?\s*([^\]#]+?)\s*\]", line):
            section = _plain_key(header[1])
            found.setdefault(section, number)
            section += "."
        elif key := re.match(r"\s*([A-Za-z0-9_\-.\"' \t]+?)\s*=", line):
            found.setdefault(section + _plain_key(key[1]), number)
    return found


def _plain_key(key: str) -> str:
    return re.sub(r"[\"'\s]", "", key)


def _line_of(key: str, lines: Mapping[str, int]) -> int | None:
    return lines.get(key) or lines.get(key.partition(".")[0])


def from_environment(keys: Iterable[str]) -> dict[str, Given]:
    """Read GHOSTTRACK_* variables; pydantic-settings is loaded only where there are any.

    Raises:
        UsageError: a variable that no setting has.
    """
    names = {
        name.removeprefix(PREFIX).lower().replace("__", ".", 1): name
        for name in os.environ
        if name.startswith(PREFIX) and name != CONFIG_VARIABLE and os.environ[name]
    }
    sections = {key.partition(".")[0] for key in keys}
    check_known({key: name for key, name in names.items() if key not in sections}, keys)
    if not names:
        return {}
    found = dict(_flatten(_read_environment()))
    variables = {key: names.get(key) or names.get(key.partition(".")[0], key) for key in found}
    check_known(variables, keys)
    return {key: Given(value, "environment", variables[key]) for key, value in found.items()}


def _read_environment() -> dict[str, Any]:
    from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

    from ghosttrack_cli.settings.schema import Settings

    class FromEnvironment(BaseSettings, Settings):
        model_config = SettingsConfigDict(
            env_prefix=PREFIX,
            env_nested_delimiter="__",
            env_nested_max_split=1,
            env_ignore_empty=True,
            extra="ignore",
            frozen=True,
        )

    try:
        return EnvSettingsSource(FromEnvironment)()
    except SettingsError as error:
        section = re.search(r'"(\w+)"', str(error))
        name = PREFIX + (section[1].upper() if section else "*")
        raise UsageError(
            f"{name}: not a JSON object with the section's keys",
            hint=f"set one key at a time, as {name}__KEY",
        ) from error


def from_mapping(
    values: Mapping[str, Any], keys: Iterable[str], kind: Kind, labels: Mapping[str, str]
) -> dict[str, Given]:
    """Take flags, presets or a caller's dict, nested by section or with dotted keys."""
    found = {
        key: Given(value, kind, labels.get(key, f"{kind} {key}")) for key, value in _flatten(values)
    }
    check_known({key: given.where for key, given in found.items()}, keys)
    return found


def check_known(wheres: Mapping[str, str], keys: Iterable[str]) -> None:
    """Refuse the first key that no setting has and name the nearest one that exists."""
    valid = list(keys)
    for key, where in wheres.items():
        if key not in valid:
            as_variable = where.startswith(PREFIX)
            shown = "" if as_variable else f": {key}"
            raise UsageError(f"{where}: unknown setting{shown}", hint=_nearest(key, valid, where))


def _nearest(key: str, valid: list[str], where: str) -> str:
    if re.search(r"token$|secret|password|api_?key", key):
        return ENVIRONMENT_HINT
    if any(name.startswith(f"{key}.") for name in valid):
        return f"{key} is a section: write [{key}] and its keys below"
    if sections := difflib.get_close_matches(
        key, {name.partition(".")[0] for name in valid if "." in name}, n=1, cutoff=0.8
    ):
        return f"did you mean the section [{sections[0]}]?"
    by_name = {name.rpartition(".")[2]: name for name in reversed(valid)}
    matches = difflib.get_close_matches(key, valid, n=1, cutoff=0.6) or [
        by_name[name]
        for name in difflib.get_close_matches(key.rpartition(".")[2], by_name, n=1, cutoff=0.6)
    ]
    if not matches:
        return SHOW_HINT
    nearest = matches[0]
    if where.startswith(PREFIX):
        nearest = PREFIX + nearest.replace(".", "__").upper()
    return f"did you mean {nearest}?"
