"""The only package that writes files: whole, durable, or not at all.

A file appears under its name only when its bytes are on the disk: temporary name, fsync, rename,
fsync of the folder. A process killed anywhere in between leaves the old file and at most a
temporary one beside it, which the next writer of that name replaces.
"""

from ghosttrack_cli.files.documents import (
    MAX_JSON_BYTES,
    json_text,
    parse_json,
    read_json,
    write_json,
)
from ghosttrack_cli.files.locks import exclusive_lock, lock_holders, readers_lock, shared_lock
from ghosttrack_cli.files.opened import OpenedFile, opened
from ghosttrack_cli.files.places import (
    DELETED_SUFFIX,
    PREVIOUS_SUFFIX,
    copy_times,
    discard_folder,
    free_bytes,
    largest_file,
    present_folder,
    read_folder,
    remove,
    remove_if_empty,
    rename,
    replace_folder,
)
from ghosttrack_cli.files.sealed import (
    open_sealed,
    read_sealed,
    seal,
    seal_text,
    sealed_text,
    unseal,
    write_sealed,
)
from ghosttrack_cli.files.staging import DiskQueue, StagedFile, WriteBatch, write_together
from ghosttrack_cli.files.system import (
    TEMPORARY_SUFFIX,
    disk_errors,
    entries,
    is_file,
    is_folder,
    is_there,
    make_folder,
    sync_folder,
    temporary_path,
)
from ghosttrack_cli.files.whole import (
    append_line,
    read_bytes,
    sha256_file,
    write_bytes,
    write_parts,
    write_text,
)

__all__ = [
    "DELETED_SUFFIX",
    "MAX_JSON_BYTES",
    "PREVIOUS_SUFFIX",
    "TEMPORARY_SUFFIX",
    "DiskQueue",
    "OpenedFile",
    "StagedFile",
    "WriteBatch",
    "append_line",
    "copy_times",
    "discard_folder",
    "disk_errors",
    "entries",
    "exclusive_lock",
    "free_bytes",
    "is_file",
    "is_folder",
    "is_there",
    "json_text",
    "largest_file",
    "lock_holders",
    "make_folder",
    "open_sealed",
    "opened",
    "parse_json",
    "present_folder",
    "read_bytes",
    "read_folder",
    "read_json",
    "read_sealed",
    "readers_lock",
    "remove",
    "remove_if_empty",
    "rename",
    "replace_folder",
    "seal",
    "seal_text",
    "sealed_text",
    "sha256_file",
    "shared_lock",
    "sync_folder",
    "temporary_path",
    "unseal",
    "write_bytes",
    "write_json",
    "write_parts",
    "write_sealed",
    "write_text",
    "write_together",
]
