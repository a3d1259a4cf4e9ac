"""sparsify: `cfg.json` and `sae.safetensors`, in a folder named for the module whose output it is.

It subtracts b_dec from a row before it encodes it, and k features fire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.foreign.found import (
    MAX_CONFIG_BYTES,
    ForeignSAE,
    count_of,
    needed_count,
    text_of,
    unsupported,
)
from ghosttrack_cli.foreign.names import last_word, named_site
from ghosttrack_cli.foreign.tensors import fitting, read_named
from ghosttrack_cli.sae.linear import uncentred
from ghosttrack_cli.sae.topk import TopKSAE

if TYPE_CHECKING:
    from ghosttrack_cli.foreign.found import Found

NAME = "sparsify"
WEIGHTS, CONFIG, RUN = "sae.safetensors", "cfg.json", "config.json"
NAMES = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "W_dec", "b_dec": "b_dec"}
SWITCHES = {
    "transcode": "a transcoder",
    "skip_connection": "a skip connection",
    "signed": "features that are negative too",
}


def read(found: Found) -> ForeignSAE:
    """Read the SAE; raises as `read_foreign`."""
    path, config = found.folder / WEIGHTS, found.json(CONFIG)
    _check(config, found)
    k = needed_count(config, "k", found.folder / CONFIG)
    tensors = read_named(path, NAMES)
    W_enc = tensors["W_enc"]
    tensors["W_enc"] = W_enc.T if W_enc.dim() == 2 else W_enc
    weights = fitting(tensors, path)
    if config.get("d_in") != weights["W_enc"].shape[0]:
        raise CorruptionError(
            f"d_in is {config.get('d_in')!r} in {CONFIG}, but {weights['W_enc'].shape[0]}: {path}"
        )
    run = _run(found)
    return ForeignSAE(
        NAME,
        TopKSAE.from_weights(uncentred(weights), k=k),
        named_site(last_word(found.place)),
        model_name=text_of(run, "model"),
        context_size=count_of(run, "ctx_len"),
        dataset_path=text_of(run, "dataset"),
    )


def _check(config: dict[str, Any], found: Found) -> None:
    """Refuse what is no TopK of a row."""
    for key, what in SWITCHES.items():
        if config.get(key):
            raise unsupported(NAME, what, found.place)
    activation = config.get("activation", "topk")
    if activation != "topk":
        raise unsupported(NAME, f"the activation {activation!r}", found.place)


def _run(found: Found) -> dict[str, Any]:
    """What the training of all SAEs of the repository was told, in the folder above."""
    path = found.folder.parent / RUN
    if not path.is_file():
        return {}
    return files.read_json(path, limit=MAX_CONFIG_BYTES, foreign=True)
