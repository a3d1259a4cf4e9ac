"""What the records of a training may hold, checked field by field before anything goes by them.

A seal tells that a file is as somebody wrote it, not that a training did.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.training.records.history import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Count = Annotated[int, Field(strict=True, ge=0, le=2**53)]
Figure = Annotated[float, Field(strict=True, ge=-1e300, le=1e300)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Store(_Record):
    identity: str
    rows: Count


class _Best(_Record):
    step: Count
    fvu: Figure
    l0: Figure


class _Body(_Record):
    """The body of a checkpoint's record."""

    store: _Store
    settings: dict[str, Any]
    environment: dict[str, Any]
    step: Count
    history: dict[str, list[Figure]]
    best: _Best | None
    metrics: dict[str, Figure | bool | None]
    seconds: Annotated[Figure, Field(ge=0)]


class _Progress(_Record):
    """What is read of a manifest to go on by it; `status` takes the rest as it comes."""

    model_config = ConfigDict(extra="allow")

    store: _Store
    settings: dict[str, Any]
    state: str
    step: Count
    metrics: dict[str, Any]


_Columns = TypeAdapter(dict[str, list[Figure]])


def check_body(body: Any, record: Path) -> None:
    """Refuse what no checkpoint's record holds.

    Raises:
        CorruptionError: names the field.
    """
    with _named(record):
        _Body.model_validate(body)
        _check_columns(body["history"])


def check_progress(document: Any, path: Path) -> None:
    """Refuse what no manifest holds; raises as `check_body`."""
    with _named(path):
        _Progress.model_validate(document)


def read_history(path: Path) -> dict[str, list[float]]:
    """The columns of a history file.

    Raises:
        FileNotFoundError: there is none.
        CorruptionError: it is not what was written, or no history.
    """
    columns = files.read_sealed(path)
    with _named(path):
        _Columns.validate_python(columns)
        _check_columns(columns)
    return columns


def _check_columns(columns: Mapping[str, list[float]]) -> None:
    if missing := COLUMNS.keys() - columns.keys():
        raise ValueError(f"no column {min(missing)}")
    if len({len(values) for values in columns.values()}) > 1:
        raise ValueError("columns of different lengths")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CorruptionError(f"damaged: {path}: {where}: {first['msg']}") from error
    except ValueError as error:
        raise CorruptionError(f"damaged: {path}: {error}") from error
