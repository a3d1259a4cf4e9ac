"""Gemma Scope: `params.npz` alone; repository and folder say where its rows come from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ghosttrack_cli.foreign.archives import read_npz
from ghosttrack_cli.foreign.found import ForeignSAE, no_such_point, unsupported
from ghosttrack_cli.foreign.tensors import fitting, renamed
from ghosttrack_cli.sae.jumprelu import KEYS, JumpReLUSAE
from ghosttrack_cli.site import Site

if TYPE_CHECKING:
    from ghosttrack_cli.foreign.found import Found
    from ghosttrack_cli.site import Point

NAME = "Gemma Scope"
WEIGHTS = "params.npz"
REPOSITORY = re.compile(r"gemma-scope-(\d+b)-(pt|it)-(res|mlp|att|transcoders)", re.ASCII)
LAYER = re.compile(r"(?:^|/)layer_(\d{1,5})(?:/|$)", re.ASCII)
POINTS: dict[str, Point] = {"res": "resid_post", "mlp": "mlp_out"}
CONTEXT = 1024
TEXTS = "monology/pile-uncopyrighted"


def read(found: Found) -> ForeignSAE:
    """Read the SAE; raises as `read_foreign`."""
    path = found.folder / WEIGHTS
    repository = REPOSITORY.search(found.place)
    site = _site(repository, found.place)
    weights = fitting(renamed(read_npz(path), {name: name for name in KEYS}, path), path)
    return ForeignSAE(
        NAME,
        JumpReLUSAE.from_weights(weights),
        site,
        model_name=_model(repository) if repository else None,
        prepend_bos=True,
        context_size=CONTEXT,
        dataset_path=TEXTS,
    )


def _site(repository: re.Match[str] | None, place: str) -> Site | None:
    if repository is None:
        return None
    kind, layer = repository[3], LAYER.search(place)
    if kind == "transcoders":
        raise unsupported(NAME, "a transcoder", place)
    if kind == "att":
        raise no_such_point(f"the input of attention's output projection: {place}")
    if "/embedding/" in f"{place}/":
        raise no_such_point(f"the embedding: {place}")
    return Site(int(layer[1]), POINTS[kind]) if layer else None


def _model(repository: re.Match[str]) -> str:
    tuned = "-it" if repository[2] == "it" else ""
    return f"google/gemma-2-{repository[1]}{tuned}"
