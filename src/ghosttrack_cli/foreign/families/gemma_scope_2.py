"""Gemma Scope 2: `params.safetensors` in lower case, and a `config.json` that may be missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.foreign.families.gemma_scope import CONTEXT, TEXTS
from ghosttrack_cli.foreign.found import ForeignSAE, no_such_point, text_of, unsupported
from ghosttrack_cli.foreign.names import named_site, point_site
from ghosttrack_cli.foreign.tensors import fitting, read_named
from ghosttrack_cli.sae.jumprelu import KEYS, JumpReLUSAE
from ghosttrack_cli.tensorfiles import tensor_shapes

if TYPE_CHECKING:
    from ghosttrack_cli.foreign.found import Found
    from ghosttrack_cli.site import Site

NAME = "Gemma Scope 2"
WEIGHTS, CONFIG = "params.safetensors", "config.json"
PLACE = re.compile(
    r"(?:^|/)(resid_post|mlp_out|attn_out|transcoder|clt)(?:_all)?/layer_(\d{1,5})(?:_|/|$)",
    re.ASCII,
)
REPOSITORY = re.compile(r"gemma-scope-2-(\w+?)-(pt|it)(?:/|$)", re.ASCII)
NAMES = {name: name.lower() for name in KEYS}
SKIP = "affine_skip_connection"


def read(found: Found) -> ForeignSAE:
    """Read the SAE; raises as `read_foreign`."""
    path = found.folder / WEIGHTS
    config = found.json(CONFIG) if found.has(CONFIG) else {}
    site = _site(config, found.place)
    architecture = config.get("architecture", "jump_relu")
    if architecture != "jump_relu":
        raise unsupported(NAME, f"the architecture {architecture!r}", path)
    if SKIP in tensor_shapes(path):
        raise unsupported(NAME, "a transcoder with a skip connection", path)
    weights = fitting(read_named(path, NAMES), path)
    return ForeignSAE(
        NAME,
        JumpReLUSAE.from_weights(weights),
        site,
        model_name=_model(found.place) or _spelt(text_of(config, "model_name")),
        prepend_bos=True,
        context_size=CONTEXT,
        dataset_path=TEXTS,
    )


def _site(config: dict[str, Any], place: str) -> Site | None:
    """As the configuration has it, else by the names of the folders."""
    match = PLACE.search(place)
    if config.get("hf_hook_point_out") or (match and match[1] in ("transcoder", "clt")):
        raise unsupported(NAME, "a transcoder", place)
    if match and match[1] == "attn_out":
        raise no_such_point(f"the input of attention's output projection: {place}")
    named = named_site(text_of(config, "hf_hook_point_in"))
    return named or (point_site(match[1], int(match[2])) if match else None)


def _model(place: str) -> str | None:
    match = REPOSITORY.search(place)
    if match is None:
        return None
    # The smallest one is on the hub without this ending.
    tuned = "" if (match[1], match[2]) == ("270m", "pt") else f"-{match[2]}"
    return f"google/gemma-3-{match[1]}{tuned}"


def _spelt(name: str | None) -> str | None:
    """The hub's name of a model that the configuration calls "gemma-v3-1b-pt"."""
    return name and f"google/{name.removeprefix('google/').replace('-v3', '-3')}"
