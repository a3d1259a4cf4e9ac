"""Files of each family, made by hand from the lists of its fields, with the acts they stand for.

D d_model, F d_hidden, N rows.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

D, F, N, K = 6, 20, 40, 4


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


W_ENC, B_ENC = numbers(D, F, seed=1), numbers(F, seed=2) / 4
W_DEC, B_DEC = numbers(F, D, seed=3), numbers(D, seed=4)
THRESHOLD = numbers(F, seed=5).abs() + 0.1
ROWS = numbers(N, D, seed=6)


def jumps(h: Tensor) -> Tensor:
    return torch.where(h > THRESHOLD, h, 0.0).relu()


def top_k(h: Tensor) -> Tensor:
    acts = torch.zeros_like(h)
    for row, values in enumerate(h):
        for column in sorted(range(F), key=lambda one: -values[one].item())[:K]:
            acts[row, column] = max(0.0, values[column].item())
    return acts


def encoded(
    fire: Callable[[Tensor], Tensor], *, centred: bool, rows: Tensor = ROWS
) -> tuple[Tensor, Tensor]:
    """The acts and the reconstructions of a plain SAE, written out."""
    x = rows - B_DEC if centred else rows
    acts = fire(x @ W_ENC + B_ENC)
    return acts, acts @ W_DEC + B_DEC


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def write_torch(path: Path, tensors: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(tensors), path)  # noqa: TID251 - as their programs do


def five(threshold: bool = True) -> dict[str, Tensor]:
    tensors = {"W_enc": W_ENC, "b_enc": B_ENC, "W_dec": W_DEC, "b_dec": B_DEC}
    return tensors | {"threshold": THRESHOLD} if threshold else tensors


def saelens(folder: Path, **config: Any) -> Path:
    """As version 6 writes it."""
    about = {
        "model_name": "gpt2", "hook_name": "blocks.3.hook_mlp_out", "prepend_bos": False,
        "context_size": 64, "dataset_path": "texts", "sae_lens_version": "6.54.0",
    }  # fmt: skip
    write_json(
        folder / "cfg.json",
        {
            "architecture": "jumprelu", "d_in": D, "d_sae": F, "dtype": "float32", "device": "cpu",
            "apply_b_dec_to_input": False, "normalize_activations": "none",
            "reshape_activations": "none", "metadata": about,
        } | config,
    )  # fmt: skip
    jumprelu = config.get("architecture", "jumprelu") == "jumprelu"
    write_safetensors(folder / "sae_weights.safetensors", five(jumprelu))
    return folder


def old_saelens(folder: Path, **config: Any) -> Path:
    """As versions before 6 wrote it: all keys at the top, no architecture, a scale of ones."""
    write_json(
        folder / "cfg.json",
        {
            "model_name": "gpt2-small", "hook_point": "blocks.8.hook_resid_pre", "d_in": D,
            "hook_point_layer": 8, "hook_point_head_index": None, "d_sae": F, "dtype": "float32",
            "activation_fn_str": "relu", "apply_b_dec_to_input": True, "context_size": 128,
            "normalize_activations": False, "dataset_path": "texts",
            "finetuning_scaling_factor": False,
        } | config,
    )  # fmt: skip
    write_safetensors(
        folder / "sae_weights.safetensors", five(False) | {"scaling_factor": torch.ones(F)}
    )
    return folder


def gemma_scope(root: Path, kind: str = "pt-res", layer: str = "layer_10") -> Path:
    folder = root / f"gemma-scope-2b-{kind}" / layer / "width_16k" / "average_l0_77"
    folder.mkdir(parents=True)
    arrays: dict[str, Any] = {name: one.numpy() for name, one in five().items()}
    np.savez(folder / "params.npz", **arrays)
    return folder


def gemma_scope_2(root: Path, place: str = "resid_post_all/layer_12_width_16k_l0_small") -> Path:
    folder = root / "gemma-scope-2-1b-it" / place
    tensors = {name.lower(): one for name, one in five().items()}
    write_safetensors(folder / "params.safetensors", tensors)
    return folder


def sparsify(root: Path, hookpoint: str = "layers.10", **config: Any) -> Path:
    folder = root / hookpoint
    write_json(root / "config.json", {"model": "org/model", "dataset": "texts", "ctx_len": 2048})
    write_json(
        folder / "cfg.json",
        {
            "activation": "topk", "expansion_factor": 32, "normalize_decoder": True,
            "num_latents": F, "k": K, "multi_topk": False, "skip_connection": False,
            "transcode": False, "d_in": D,
        } | config,
    )  # fmt: skip
    write_safetensors(
        folder / "sae.safetensors",
        {"encoder.weight": W_ENC.T, "encoder.bias": B_ENC, "W_dec": W_DEC, "b_dec": B_DEC},
    )
    return folder


LINEAR = {"encoder.weight": W_ENC.T, "encoder.bias": B_ENC, "decoder.weight": W_DEC.T}
DICTIONARIES: dict[str, dict[str, Tensor]] = {
    "AutoEncoder": LINEAR | {"bias": B_DEC},
    "AutoEncoderNew": LINEAR | {"decoder.bias": B_DEC},
    "AutoEncoderTopK": LINEAR
    | {"b_dec": B_DEC, "k": torch.tensor(K), "threshold": torch.tensor(-1.0)},
    "BatchTopKSAE": LINEAR
    | {"b_dec": B_DEC, "k": torch.tensor(K), "threshold": torch.tensor(0.75)},
    "MatryoshkaBatchTopKSAE": five(False)
    | {
        "k": torch.tensor(K),
        "threshold": torch.tensor(0.75),
        "group_sizes": torch.tensor([F // 2, F // 2]),
    },
    "JumpReluAutoEncoder": five(),
    "GatedAutoEncoder": {"gate_bias": B_ENC},
}


def dictionary(folder: Path, name: str, **trainer: Any) -> Path:
    about = {
        "dict_class": name, "activation_dim": D, "dict_size": F, "layer": 5, "lm_name": "org/model",
        "submodule_name": "resid_post_layer_5", "k": K,
    } | trainer  # fmt: skip
    write_json(folder / "config.json", {"trainer": about, "buffer": {"ctx_len": 128}})
    write_torch(folder / "ae.pt", DICTIONARIES[name])
    return folder


def qwen_scope(root: Path) -> Path:
    folder = root / f"SAE-Res-Qwen3-1.7B-Base-W32K-L0_{K}"
    tensors = five(False) | {"W_enc": W_ENC.T, "W_dec": W_DEC.T}
    write_torch(folder / "layer14.sae.pt", tensors)
    return folder / "layer14.sae.pt"


def rewritten(path: Path, change: Callable[[str, bytes], bytes]) -> None:
    """A zip archive with other members."""
    before, out = zipfile.ZipFile(path), io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in before.namelist():
            archive.writestr(name, change(name, before.read(name)))
    path.write_bytes(out.getvalue())
