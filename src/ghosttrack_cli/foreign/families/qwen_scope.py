"""Qwen Scope: one `layer6.sae.pt` for each block; the repository's name has the model and k."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.foreign.archives import read_torch
from ghosttrack_cli.foreign.found import ForeignSAE
from ghosttrack_cli.foreign.tensors import fitting, renamed, turned
from ghosttrack_cli.sae.topk import TopKSAE
from ghosttrack_cli.site import Site

if TYPE_CHECKING:
    from ghosttrack_cli.foreign.found import Found

NAME = "Qwen Scope"
WEIGHTS = re.compile(r"layer(\d{1,5})\.sae\.pt", re.ASCII)
REPOSITORY = re.compile(r"SAE-Res-([\w.-]+)-W\d+K-L0_(\d{1,6})", re.ASCII)
NAMES = {name: name for name in ("W_enc", "b_enc", "W_dec", "b_dec")}


def read(found: Found) -> ForeignSAE:
    """Read the SAE; raises as `read_foreign`."""
    assert found.file is not None
    path, layer = found.folder / found.file, WEIGHTS.fullmatch(found.file)
    assert layer is not None
    repository = REPOSITORY.search(found.place)
    if repository is None:
        raise UsageError(
            f"the file does not say how many features fire: {path}",
            hint="keep it in a folder named as its repository, SAE-Res-MODEL-W32K-L0_50",
        )
    weights = fitting(turned(renamed(read_torch(path), NAMES, path)), path)
    return ForeignSAE(
        NAME,
        TopKSAE.from_weights(weights, k=int(repository[2])),
        Site(int(layer[1])),
        model_name=f"Qwen/{repository[1]}",
    )
