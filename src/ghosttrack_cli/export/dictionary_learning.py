"""The layout of dictionary_learning: `load_dictionary(folder, device)` opens it.

D d_model, F d_hidden. The same five tensors as ours, by the same names and in the same units: W_enc
(D, F), b_enc (F), W_dec (F, D), b_dec (D), threshold (F).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import torch

from ghosttrack_cli import files
from ghosttrack_cli.differences import refuse
from ghosttrack_cli.provenance import sae_differences
from ghosttrack_cli.sae.jumprelu import JumpReLUSAE

if TYPE_CHECKING:
    from pathlib import Path


def export_sae(source: Path, target: Path, *, layer: int) -> None:
    """Write the SAE of a layer in the folder `source` as `ae.pt` and `config.json` in `target`.

    Raises:
        StateError, ModelError, CorruptionError: there is no usable SAE in `source`.
        ConflictError: it is known to be of another layer.
    """
    sae = JumpReLUSAE.load(source)
    fields = sae_differences(sae.metadata, layer)
    refuse(
        f"the SAE {source.name} was trained on another layer",
        fields,
        "it was moved or renamed: put each SAE back into the folder of its layer",
    )
    weights = io.BytesIO()
    # That program reads nothing else. Writing a pickle of tensors runs nothing, and ours are never
    # read back from here.
    torch.save(dict(sae.state_dict()), weights)  # noqa: TID251
    config = files.json_text(_config(sae, layer)).encode()
    files.write_together({target / "ae.pt": weights.getbuffer(), target / "config.json": config})


def _config(sae: JumpReLUSAE, layer: int) -> dict[str, object]:
    D, F = sae.W_enc.shape
    return {
        "trainer": {
            "trainer_class": "ghosttrack",
            "dict_class": "JumpReluAutoEncoder",
            "activation_dim": D,
            "dict_size": F,
            "layer": layer,
            "lm_name": sae.metadata.get("model_name"),
            "submodule_name": f"resid_post_layer_{layer}",
        },
        "buffer": {"d_submodule": D, "ctx_len": sae.metadata.get("context_size")},
    }
