"""The state of a training on disk: pairs of tensors and record, newest valid one wins.

    sae_layer_6_last/
      step-000001000.safetensors     the tensors of State
      step-000001000.json            sealed: body (step, history ...), SHA-256 of the tensors

The record is written after the tensors, and an older pair goes only after a newer one is
complete, so that a process killed anywhere leaves at least the pair it had before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.tensorfiles import read_tensors, write_tensors
from ghosttrack_cli.training.records.checked import check_body
from ghosttrack_cli.training.step.state import State, check_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

SCHEMA = 2
KEPT = 2
RECORD_NAME = re.compile(r"step-(\d{9,15})\.json")
MAX_RECORD_BYTES = 2**28


@dataclass(frozen=True)
class Checkpoint:
    """A state and what is known about it; `body` is JSON."""

    state: State
    body: dict[str, Any]


def save_checkpoint(folder: Path, state: State, body: Mapping[str, Any]) -> None:
    """Write a checkpoint durably, then remove all but the newest two."""
    files.make_folder(folder)
    stem = f"step-{int(state.step):09d}"
    tensors_sha256 = write_tensors(folder / f"{stem}.safetensors", state.tensors())
    document = {"schema": SCHEMA, "body": dict(body), "tensors_sha256": tensors_sha256}
    files.write_sealed(folder / f"{stem}.json", document)
    prune(folder)


def load_checkpoint(
    folder: Path, notice: Callable[[str], None], *, limit: int
) -> Checkpoint | None:
    """The newest valid checkpoint, or None where there is none at all.

    `limit` bounds the bytes of the tensors. A damaged checkpoint is passed over with a notice.

    Raises:
        CorruptionError: there are checkpoints, and none is valid.
    """
    stems = _stems(folder)
    for stem in stems:
        try:
            return _load(folder, stem, limit)
        except (CorruptionError, FileNotFoundError) as error:
            notice(f"skipped a damaged checkpoint: {error}")
    if stems:
        raise CorruptionError(
            f"no valid checkpoint in {folder}", hint="ghosttrack train --overwrite starts over"
        )
    return None


def has_checkpoint(folder: Path) -> bool:
    """Whether there is any, valid or not."""
    return bool(_stems(folder))


def damaged_checkpoints(folder: Path) -> Iterator[str]:
    """Read every checkpoint, and say what is wrong with it."""
    for stem in _stems(folder):
        try:
            _, sha256 = _read_record(folder / f"{stem}.json")
            path = folder / f"{stem}.safetensors"
            if not path.is_file():
                yield f"missing from a checkpoint: {path}"
            elif files.sha256_file(path) != sha256:
                yield f"checksum does not match: {path} is not what was written"
        except FileNotFoundError:  # an older one, removed meanwhile
            continue
        except CorruptionError as error:
            yield error.what


def prune(folder: Path) -> None:
    """Remove old records, then every other file without a record.

    A process killed right after it wrote its last checkpoint leaves that to the next one.
    """
    for stem in _stems(folder)[KEPT:]:
        files.remove(folder / f"{stem}.json")
    kept = set(_stems(folder))
    for path in folder.glob("step-*"):
        if path.name.partition(".")[0] not in kept:
            files.remove(path)


def _load(folder: Path, stem: str, limit: int) -> Checkpoint:
    record = folder / f"{stem}.json"
    body, sha256 = _read_record(record)
    tensors = read_tensors(folder / f"{stem}.safetensors", sha256=sha256, limit=limit)
    try:
        state = State.from_tensors(tensors)
        check_state(state)
    except KeyError as error:
        raise CorruptionError(f"no tensor {error} in the checkpoint {record}") from error
    except ValueError as error:
        raise CorruptionError(f"damaged: {folder / stem}.safetensors: {error}") from error
    if int(state.step) != body["step"]:
        raise CorruptionError(f"tensors and record of different steps: {record}")
    return Checkpoint(state, body)


def _read_record(record: Path) -> tuple[dict[str, Any], str]:
    """The body of a checkpoint's record, and the SHA-256 of its tensors."""
    document = files.read_sealed(record, limit=MAX_RECORD_BYTES)
    schema, body, sha256 = (document.get(name) for name in ("schema", "body", "tensors_sha256"))
    if schema != SCHEMA:
        raise CorruptionError(f"schema {schema} is not {SCHEMA}: {record}")
    if not (isinstance(body, dict) and isinstance(sha256, str)):
        raise CorruptionError(f"not the record of a checkpoint: {record}")
    check_body(body, record)
    return body, sha256


def _stems(folder: Path) -> list[str]:
    """Names of the records without suffix, newest first."""
    if not folder.is_dir():
        return []
    found = [match for path in folder.iterdir() if (match := RECORD_NAME.fullmatch(path.name))]
    return [match[0].removesuffix(".json") for match in sorted(found, key=_step, reverse=True)]


def _step(match: re.Match[str]) -> int:
    return int(match[1])
