"""What a store was made with: it must be equal whenever the store is continued."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from ghosttrack_cli.differences import OTHER_SETTINGS, START_OVER, Fields, differing, refuse
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.provenance import ModelRecord, model_differences
from ghosttrack_cli.quantities import MAX_D_MODEL
from ghosttrack_cli.site import RESID_POST

JSON: TypeAlias = Any
"""A value that `json` writes and reads back unchanged."""

StoreDtype = Literal["float32", "float16", "bfloat16"]
Compression = Literal["none", "lz4", "zstd"]

NAMES_ONLY = {"corpus.name"}
"""What something is called, which may change while it stays the same."""

CONTENT = {"corpus.files", "corpus.bytes", "corpus.sha256"}
"""What differs where a text was edited, or is another one."""

MODEL_FIELDS = ("model", "model_revision", "weights_sha256", "model_config")

ITEM_SIZE = {"float32": 4, "float16": 2, "bfloat16": 2}
MAX_CHUNK_ROWS = 2**20
MAX_CHUNK_BYTES = 2**31 - 2**20  # Blosc counts in 32 signed bits


@dataclass(frozen=True)
class StoreIdentity:
    """Model, tokenizer, corpus, windows and layout of one store; layers and rows may grow."""

    model: str
    model_revision: str | None
    weights_sha256: str
    tokenizer_sha256: str
    special_token_ids: tuple[int, ...]
    corpus: dict[str, JSON]
    context_length: int
    batch_size: int
    """Windows a forward pass: part of the identity because it can change the last bits."""
    d_model: int
    dtype: StoreDtype
    hook_point: str = RESID_POST
    """The point of an array that is named by its layer alone; the array's path has its own."""
    chunk_rows: int = 8192
    compress: Compression = "none"
    extra: dict[str, JSON] = field(default_factory=dict)
    """What else must be equal, for instance the dtype that the model computed in."""
    model_config: dict[str, JSON] = field(default_factory=dict)
    """What of the model's configuration decides its rows; empty in stores that do not know it."""

    def __post_init__(self) -> None:
        assert self.dtype in get_args(StoreDtype), self.dtype
        assert self.compress in get_args(Compression), self.compress
        assert isinstance(self.model_config, dict), self.model_config
        assert 1 <= self.chunk_rows <= MAX_CHUNK_ROWS
        assert 1 <= self.d_model <= MAX_D_MODEL
        assert self.chunk_bytes <= MAX_CHUNK_BYTES

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of one layer."""
        return self.d_model * ITEM_SIZE[self.dtype]

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one full chunk of one layer before compression, without its checksum."""
        return self.chunk_rows * self.row_bytes

    def to_json(self) -> dict[str, JSON]:
        """The identity as it stands in `commit.json` and in the group's attributes."""
        document = asdict(self) | {"special_token_ids": list(self.special_token_ids)}
        if not self.model_config:
            del document["model_config"]
        return document

    @property
    def model_record(self) -> ModelRecord:
        """The model, to be compared with another."""
        return ModelRecord(self.model, self.weights_sha256, self.model_config)

    @classmethod
    def from_json(cls, document: JSON, *, where: object) -> StoreIdentity:
        """Read an identity back; CorruptionError if a field is missing, unknown or impossible."""
        try:
            special = tuple(int(token) for token in document["special_token_ids"])
            return cls(**{**document, "special_token_ids": special})
        except (TypeError, KeyError, ValueError, AssertionError) as error:
            raise CorruptionError(f"not a valid store identity: {where}: {error!r}") from error


def check_identity(found: StoreIdentity, asked: StoreIdentity, *, where: object) -> None:
    """Raise a ConflictError that lists every field in which the two differ.

    A model with the same weights is the same whatever its folder or its place on the hub is called.
    """
    others = differing(_without_model(found), _without_model(asked))
    fields = model_differences(found.model_record, asked.model_record) | {
        name: both for name, both in others.items() if name not in NAMES_ONLY
    }
    refuse(f"the store was made with different settings: {where}", fields, hint=_way_out(fields))


def _way_out(fields: Fields) -> str:
    """What helps: a text that was edited cannot be asked for again as it was."""
    if set(fields) <= CONTENT:
        return f"use the text that the store was made from, unchanged, {START_OVER}"
    return OTHER_SETTINGS


def _without_model(identity: StoreIdentity) -> dict[str, JSON]:
    document = identity.to_json()
    return {name: value for name, value in document.items() if name not in MODEL_FIELDS}
