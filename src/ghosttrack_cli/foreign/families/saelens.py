"""SAELens: `cfg.json`, of version 6 or before, and `sae_weights.safetensors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.foreign.found import ForeignSAE, count_of, no_such_point, text_of, unsupported
from ghosttrack_cli.foreign.names import named_site
from ghosttrack_cli.sae.checksums import CONFIG, WEIGHTS, read_sums
from ghosttrack_cli.sae.folder import SAEFolder
from ghosttrack_cli.sae.registry import ARCHITECTURES, of_its_kind
from ghosttrack_cli.tensorfiles import tensor_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from ghosttrack_cli.foreign.found import Found

NAME = "SAELens"
OLD_NAMES = {"hook_point": "hook_name", "activation_fn_str": "activation_fn"}
ABOUT = (
    "model_name", "hook_name", "hook_head_index", "prepend_bos", "context_size", "dataset_path",
    "model_from_pretrained_kwargs", "neuronpedia_id", "sae_lens_training_version",
)  # fmt: skip
SCALE = "scaling_factor"
NORMALISED = {
    "expected_average_only_in": "by a factor that its files do not hold",
    "layer_norm": "each row by its own mean and spread",
    "constant_norm_rescale": "each row by its own length",
    "covariance_whitening": "by a matrix that its files do not hold",
}
FOLD = (
    "SAELens can fold a factor into the weights: sae.fold_activation_norm_scaling_factor(factor),"
    " then sae.save_model(folder)"
)


@dataclass(frozen=True)
class LensFolder(SAEFolder):
    """A folder of SAELens, whose cfg.json says everything in the words of version 6."""

    def weights(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
        """The tensors without the scales of features that some versions wrote, all of them 1."""
        if SCALE not in tensor_shapes(self.path / WEIGHTS):
            return super().weights(shapes)
        tensors = super().weights({**shapes, SCALE: (self.sizes[1],)})
        if not torch.equal(tensors[SCALE], torch.ones_like(tensors[SCALE])):
            raise unsupported(NAME, "features that were scaled after training", self.path)
        return {name: tensor for name, tensor in tensors.items() if name != SCALE}


def read(found: Found) -> ForeignSAE:
    """Read the SAE; raises as `read_foreign`."""
    config = current(found.json(CONFIG))
    path = found.folder / CONFIG
    check(config, path)
    folder = LensFolder(found.folder, config, read_sums(found.folder))
    folder.check()
    about = folder.metadata
    hook = text_of(about, "hook_name")
    site = named_site(hook)
    if about.get("hook_head_index") is not None:
        raise no_such_point(f"head {about['hook_head_index']} of {hook}")
    bos = about.get("prepend_bos")
    return ForeignSAE(
        NAME,
        of_its_kind(folder),
        site,
        model_name=text_of(about, "model_name"),
        prepend_bos=bos if isinstance(bos, bool) else None,
        context_size=count_of(about, "context_size"),
        dataset_path=text_of(about, "dataset_path"),
    )


def current(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration in the words of version 6, where an earlier one had all keys at the top."""
    if isinstance(config.get("metadata"), dict):
        return config
    new = {OLD_NAMES.get(key, key): value for key, value in config.items()}
    more = new.get("activation_fn_kwargs")
    k = more.get("k") if isinstance(more, dict) else None
    if new.get("activation_fn") == "topk" and k is not None:
        new |= {"architecture": "topk", "k": k}
    if new.get("normalize_activations") in (None, False):
        new["normalize_activations"] = "none"
    if new["normalize_activations"] is True:
        new["normalize_activations"] = "expected_average_only_in"
    about = {"prepend_bos": True, **{key: new[key] for key in ABOUT if key in new}}
    return {"architecture": "standard", **new, "metadata": about}


def check(config: Mapping[str, Any], path: Path) -> None:
    """Refuse what is another function than its architecture says.

    Raises:
        ModelError: names what.
    """
    architecture = config.get("architecture")
    if architecture not in ARCHITECTURES:
        raise unsupported(NAME, f"the architecture {architecture!r}", path)
    activation = config.get("activation_fn", "relu")
    if activation not in ("relu", "topk", None):
        raise unsupported(NAME, f"the activation {activation!r}", path)
    normalised = config.get("normalize_activations") or "none"
    if normalised != "none":
        how = NORMALISED.get(str(normalised), "in a way that is not known here")
        raise ModelError(
            f"an SAE that normalises its input, {how} ({normalised}): {path}", hint=FOLD
        )
    if config.get("reshape_activations", "none") not in ("none", None):
        raise no_such_point(f"{config['reshape_activations']}: {path}")
