"""A folder of another program's files: where it lies, what it is called, what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, ModelError
from ghosttrack_cli.site import POINTS

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.site import Site

MAX_CONFIG_BYTES = 2**22


@dataclass(frozen=True)
class Found:
    """Files that one SAE is read from."""

    folder: Path
    place: str
    """The repository and the folder in it, or a local path: names that say what the files do not,
    such as "google/gemma-scope-2b-pt-res/layer_10/width_16k/average_l0_77"."""
    file: str | None = None
    """The one file in the folder that was named, if one was."""

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.folder / name).is_file()

    def json(self, name: str) -> dict[str, Any]:
        """A configuration.

        Raises:
            FileNotFoundError: there is none.
            CorruptionError: no JSON object.
        """
        return files.read_json(self.folder / name, limit=MAX_CONFIG_BYTES, foreign=True)


@dataclass(frozen=True)
class ForeignSAE:
    """An SAE of another program, and what is known of the rows that it was trained on."""

    family: str
    sae: SAE
    site: Site | None = None
    """Where its rows come from; None where neither files nor names tell."""
    model_name: str | None = None
    prepend_bos: bool | None = None
    context_size: int | None = None
    dataset_path: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What is known, by the names that `cfg.json` of an SAE folder has for it."""
        return {
            "model_name": self.model_name,
            "prepend_bos": self.prepend_bos,
            "context_size": self.context_size,
            "dataset_path": self.dataset_path,
        }


def text_of(config: dict[str, Any], key: str) -> str | None:
    """The text under `key`, None where there is none."""
    value = config.get(key)
    return value if isinstance(value, str) and value else None


def count_of(config: dict[str, Any], key: str) -> int | None:
    """The whole number above 0 under `key`, None where there is none."""
    value = config.get(key)
    return value if type(value) is int and value > 0 else None


def needed_count(config: dict[str, Any], key: str, path: Path) -> int:
    """The same where it cannot be done without.

    Raises:
        CorruptionError: there is none.
    """
    value = count_of(config, key)
    if value is None:
        raise CorruptionError(f"no {key} in {path}: {config.get(key)!r} is not a number above 0")
    return value


def unsupported(family: str, what: str, place: object) -> ModelError:
    """The error of an SAE whose kind cannot be expressed here."""
    return ModelError(
        f"not supported: {what} of {family}: {place}",
        hint="supported are jumprelu, standard (ReLU), topk and batchtopk",
    )


def no_such_point(name: str) -> ModelError:
    """The error of an SAE of a place in the model that is not read here."""
    return ModelError(
        f"an SAE of a hook point that cannot be read here: {name}",
        hint=f"the points are {', '.join(POINTS)}",
    )
