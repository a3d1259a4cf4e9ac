"""The layout of dictionary_learning: `load_dictionary(folder, device)` opens it.

D d_model, F d_hidden. Its JumpReLU has our five tensors, by the same names and in the same units.
The others subtract b_dec from their input, so that b_enc is another, and keep matrices turned:

    AutoEncoder      encoder.weight (F, D), encoder.bias (F), decoder.weight (D, F), bias (D)
    AutoEncoderTopK  the same with b_dec (D) for bias, k (), and threshold (), -1 for not known
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

import torch

from ghosttrack_cli import files
from ghosttrack_cli.differences import refuse
from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.provenance import sae_differences
from ghosttrack_cli.sae.registry import load_sae
from ghosttrack_cli.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.site import AnySite


class Dictionary(NamedTuple):
    """An SAE as that program knows it: the class, its tensors, and what only its trainer has."""

    dict_class: str
    tensors: dict[str, Tensor]
    trainer: dict[str, object]


def export_sae(source: Path, target: Path, *, layer: AnySite) -> None:
    """Write the SAE of a layer in the folder `source` as `ae.pt` and `config.json` in `target`.

    Raises:
        StateError, CorruptionError: there is no usable SAE in `source`.
        ModelError: nor one of an architecture that dictionary_learning has.
        ConflictError: it is known to be of another layer.
    """
    sae = load_sae(source)
    fields = sae_differences(sae.metadata, layer)
    refuse(
        f"the SAE {source.name} was trained on another layer",
        fields,
        hint="it was moved or renamed: put each SAE back into the folder of its layer",
    )
    dictionary = _dictionary(sae, source)
    weights = io.BytesIO()
    # That program reads nothing else. Writing a pickle of tensors runs nothing, and ours are never
    # read back from here.
    torch.save(dictionary.tensors, weights)  # noqa: TID251
    config = files.json_text(_config(sae, dictionary, layer)).encode()
    # Not `getbuffer`: in an error's traceback such a view crashes the collector of Python 3.12.1.
    # `getvalue` does not copy either.
    files.write_together({target / "ae.pt": weights.getvalue(), target / "config.json": config})


def _dictionary(sae: SAE, source: Path) -> Dictionary:
    make = KINDS.get(sae.architecture)
    if make is None:
        raise ModelError(
            f"dictionary_learning has no SAE of the architecture {sae.architecture!r}: {source}",
            hint=f"it has {', '.join(KINDS)}",
        )
    return make(sae)


def _jumprelu(sae: SAE) -> Dictionary:
    tensors = {name: weight.detach() for name, weight in sae.weights().items()}
    return Dictionary("JumpReluAutoEncoder", tensors, {})


def _relu(sae: SAE) -> Dictionary:
    return Dictionary("AutoEncoder", {**_turned(sae), "bias": sae.b_dec.detach()}, {})


def _topk(sae: SAE) -> Dictionary:
    k = sae.options()["k"]
    own = {
        "b_dec": sae.b_dec.detach(),
        "k": torch.tensor(k, dtype=torch.int32),
        "threshold": torch.tensor(-1.0),
    }
    return Dictionary("AutoEncoderTopK", {**_turned(sae), **own}, {"k": k})


def _turned(sae: SAE) -> dict[str, Tensor]:
    """Encoder and decoder of one that subtracts b_dec from its input."""
    return {
        "encoder.weight": sae.W_enc.detach().T.contiguous(),
        "encoder.bias": (sae.b_enc + sae.b_dec @ sae.W_enc).detach(),
        "decoder.weight": sae.W_dec.detach().T.contiguous(),
    }


KINDS: dict[str, Callable[[SAE], Dictionary]] = {
    "jumprelu": _jumprelu,
    "standard": _relu,
    "topk": _topk,
}


def _config(sae: SAE, dictionary: Dictionary, layer: AnySite) -> dict[str, object]:
    D, F = sae.W_enc.shape
    site = Site.of(layer)
    return {
        "trainer": {
            "trainer_class": "ghosttrack",
            "dict_class": dictionary.dict_class,
            **dictionary.trainer,
            "activation_dim": D,
            "dict_size": F,
            "layer": site.layer,
            "lm_name": sae.metadata.get("model_name"),
            "submodule_name": f"{site.point}_layer_{site.layer}",
        },
        "buffer": {"d_submodule": D, "ctx_len": sae.metadata.get("context_size")},
    }
