"""Zip archives of arrays: numpy's .npz and PyTorch's .pt, each member looked at before it is read.

No pickle in them runs: of a .npz only numbers are read, of a .pt only what `weights_only` takes.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

MAX_ARCHIVE_BYTES = 2**36
MAX_PICKLE_BYTES = 2**20
MAX_MEMBERS = 1000
EXPANSION, ALLOWANCE = 20, 2**26
"""How far a member may unfold: numbers hardly pack, a few zeros do."""
TORCH_MEMBER = re.compile(
    r"[^/]+/(?:data\.pkl|version|byteorder|data/\d+|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id)"
)
TENSOR_NAMES = re.compile(
    r"collections OrderedDict|torch (?:Float|Double|Half|BFloat16|Int|Long|Bool)Storage"
    r"|torch\._utils _rebuild_(?:tensor_v2|parameter)"
)
DAMAGED = (
    ValueError,
    KeyError,
    EOFError,
    OSError,
    RuntimeError,  # encrypted
    NotImplementedError,  # packed in a way that Python does not know
    zipfile.BadZipFile,
    zlib.error,
)
CONVERT = (
    "where you trust it: open it in the program that wrote it and save its tensors as safetensors"
)


def read_npz(path: Path) -> dict[str, Tensor]:
    """The arrays of a .npz, which must be numbers.

    Raises:
        FileNotFoundError: there is no such file.
        CorruptionError: no such archive, other sizes than it says, or arrays of objects.
    """
    with _opened(path) as archive:
        return {
            member.filename.removesuffix(".npy"): torch.from_numpy(_array(archive, member, path))
            for member in archive.infolist()
        }


def read_torch(path: Path) -> dict[str, Tensor]:
    """The tensors of a dictionary that `torch.save` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ModelError: it holds something else than tensors, which is not opened.
        CorruptionError: no such archive, or a damaged one.
    """
    with _opened(path) as archive:
        _check_torch(archive, path)
    data = files.read_bytes(path, limit=MAX_ARCHIVE_BYTES)
    try:
        # That program writes nothing else. Every name in the pickle was compared with a list of
        # those of plain tensors, and this unpickler knows no other ones either.
        found: Any = torch.load(  # noqa: TID251
            io.BytesIO(data), map_location="cpu", weights_only=True
        )
    except Exception as error:  # what a damaged archive makes of it is anything
        raise CorruptionError(f"damaged: {path}: {str(error).splitlines()[0][:200]}") from error
    if not isinstance(found, dict):
        raise CorruptionError(f"not a dictionary of tensors: {path}")
    return {str(name): _whole(value, path) for name, value in found.items() if _is_tensor(value)}


def _opened(path: Path) -> zipfile.ZipFile:
    """The archive, its members checked.

    Raises:
        FileNotFoundError, CorruptionError: see `read_npz`.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    with files.disk_errors(path, "read"):
        size = path.stat().st_size
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        hint = CONVERT if path.suffix == ".pt" else None
        raise CorruptionError(f"not an archive of arrays: {path}", hint=hint) from error
    members = archive.infolist()
    names = [member.filename for member in members]
    unfolded = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or len(set(names)) != len(names):
        archive.close()
        raise CorruptionError(f"damaged: {path}: too many members, or two of one name")
    if size > MAX_ARCHIVE_BYTES or unfolded > EXPANSION * size + ALLOWANCE:
        archive.close()
        raise CorruptionError(f"refused: {path}: {size:,} bytes would unfold to {unfolded:,}")
    return archive


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Any:
    """One array, read only if its header asks for as many bytes as the member has."""
    where = f"{member.filename[:100]} in {path}"
    try:
        with archive.open(member) as file:
            version = np.lib.format.read_magic(file)
            read = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = read(file)
            if dtype.hasobject or dtype.kind not in "fiu":
                raise CorruptionError(f"not an array of numbers, and was not opened: {where}")
            count = 1
            for length in shape:
                count *= length
            if file.tell() + count * dtype.itemsize != member.file_size:
                raise CorruptionError(f"other sizes than it says: {where}")
            data = bytearray(file.read())
    except DAMAGED as error:
        raise CorruptionError(f"damaged: {where}: {str(error)[:200]}") from error
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(array, dtype.newbyteorder("="))


def _check_torch(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse any member that PyTorch does not write, and any name in the pickle but tensors'."""
    for member in archive.infolist():
        if not TORCH_MEMBER.fullmatch(member.filename):
            raise CorruptionError(f"not a member of torch.save: {member.filename[:100]!r}: {path}")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise CorruptionError(f"packed, as torch.save does not: {member.filename}: {path}")
    pickles = [one for one in archive.infolist() if one.filename.endswith("/data.pkl")]
    if len(pickles) != 1 or pickles[0].file_size > MAX_PICKLE_BYTES:
        raise CorruptionError(f"not one small data.pkl: {path}")
    try:
        data = archive.read(pickles[0])
        names = _names(data)
    except DAMAGED as error:
        raise CorruptionError(f"damaged: {path}: {str(error)[:200]}") from error
    strange = sorted(name for name in names if not TENSOR_NAMES.fullmatch(name))
    if strange:
        raise ModelError(
            f"a pickle that names {strange[0][:100]!r}, and was not opened: {path}", hint=CONVERT
        )


def _names(data: bytes) -> set[str]:
    """Every module and name that a pickle asks for; found by reading it, not by running it."""
    names = set()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL":
            names.add(str(argument))
        elif opcode.name in {"STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}:
            names.add(f"{opcode.name} {argument}")
    return names


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def _whole(tensor: Tensor, path: Path) -> Tensor:
    """The tensor, if its elements are there: a view may repeat a few of them without end."""
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise CorruptionError(f"larger than its storage: a tensor in {path}")
    return tensor.detach()
