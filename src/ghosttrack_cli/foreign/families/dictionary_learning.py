"""dictionary_learning: `config.json` and `ae.pt`, a pickle of tensors.

All but JumpReluAutoEncoder and AutoEncoderNew subtract their decoder's bias from a row before they
encode it. BatchTopK classes use the threshold that training left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.foreign.archives import read_torch
from ghosttrack_cli.foreign.found import ForeignSAE, count_of, needed_count, text_of, unsupported
from ghosttrack_cli.foreign.names import named_site, point_site
from ghosttrack_cli.foreign.tensors import fitting, renamed, turned
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
from ghosttrack_cli.sae.linear import uncentred
from ghosttrack_cli.sae.relu import ReLUSAE
from ghosttrack_cli.sae.topk import TopKSAE

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.foreign.found import Found
    from ghosttrack_cli.foreign.tensors import Tensors
    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.site import Site

NAME = "dictionary_learning"
WEIGHTS, CONFIG = "ae.pt", "config.json"
SUBMODULE = re.compile(r"(\w+?)_layer_?(\d{1,5})", re.ASCII)
POINTS = {"attention_out": "attn_out"}
"""Its names that are not ours."""
LINEAR = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight"}
PLAIN = {name: name for name in ("W_enc", "b_enc", "W_dec", "b_dec")}


@dataclass(frozen=True)
class Layout:
    """How a class keeps its tensors: their names by ours, matrices `turned`, input `centred`."""

    names: dict[str, str]
    turned: bool
    centred: bool


CLASSES = {
    "AutoEncoder": Layout(LINEAR | {"b_dec": "bias"}, turned=True, centred=True),
    "AutoEncoderNew": Layout(LINEAR | {"b_dec": "decoder.bias"}, turned=True, centred=False),
    "AutoEncoderTopK": Layout(LINEAR | {"b_dec": "b_dec"}, turned=True, centred=True),
    "BatchTopKSAE": Layout(
        LINEAR | {"b_dec": "b_dec", "threshold": "threshold"}, turned=True, centred=True
    ),
    "MatryoshkaBatchTopKSAE": Layout(
        PLAIN | {"threshold": "threshold"}, turned=False, centred=True
    ),
    "JumpReluAutoEncoder": Layout(
        PLAIN | {"threshold": "threshold"}, turned=False, centred=False
    ),
}  # fmt: skip


def read(found: Found) -> ForeignSAE:
    """Read the SAE; raises as `read_foreign`."""
    path, config = found.folder / CONFIG, found.json(CONFIG)
    trainer, buffer = _section(config, "trainer", path), config.get("buffer")
    buffer = buffer if isinstance(buffer, dict) else {}
    name = text_of(trainer, "dict_class")
    if name is None:
        raise CorruptionError(f"no trainer.dict_class in {path}")
    if name not in CLASSES:
        raise unsupported(NAME, f"the class {name}", path)
    site = _site(trainer)
    return ForeignSAE(
        NAME,
        _sae(name, _weights(CLASSES[name], found.folder / WEIGHTS), trainer, path),
        site,
        model_name=text_of(trainer, "lm_name"),
        context_size=count_of(buffer, "ctx_len"),
    )


def _section(config: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    value = config.get(key)
    if not isinstance(value, dict):
        raise CorruptionError(f"no {key} in {path}")
    return value


def _weights(layout: Layout, path: Path) -> Tensors:
    tensors = renamed(read_torch(path), layout.names, path)
    weights = fitting(turned(tensors) if layout.turned else tensors, path)
    return uncentred(weights) if layout.centred else weights


def _sae(name: str, weights: Tensors, trainer: dict[str, Any], path: Path) -> SAE:
    if "threshold" in weights:
        return JumpReLUSAE.from_weights(weights)
    if name == "AutoEncoderTopK":
        return TopKSAE.from_weights(weights, k=needed_count(trainer, "k", path))
    return ReLUSAE.from_weights(weights)


def _site(trainer: dict[str, Any]) -> Site | None:
    """By the submodule's name, or by the layer, which is the stream after it."""
    submodule, layer = text_of(trainer, "submodule_name"), trainer.get("layer")
    match = SUBMODULE.fullmatch(submodule or "")
    if match:
        return point_site(POINTS.get(match[1], match[1]), int(match[2]))
    if submodule is not None:
        return named_site(submodule)
    return point_site(None, layer) if type(layer) is int and layer >= 0 else None
