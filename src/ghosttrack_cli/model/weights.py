"""Safetensors weights into a transformers model: checked first, nothing else ever opened."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ghosttrack_cli import files
from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.model.description import UNUSABLE, first_line
from ghosttrack_cli.model.kinds import model_class, text_config
from ghosttrack_cli.model.unused import unused
from ghosttrack_cli.quantities import counted
from ghosttrack_cli.tensorfiles import STARTING_BYTES, is_pickle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

    from ghosttrack_cli.model.model_files import ModelSource

QUANTIZED = ("I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64", "F8_E4M3", "F8_E5M2")


def load_model(
    source: ModelSource, config: PreTrainedConfig, dtype: torch.dtype
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """Build the model of `config`, fill it with the weights of `source`, in evaluation mode.

    The second value says which tensors of the files are not used.

    Raises:
        ModelError: a file that is no safetensors file, weights that are missing, of the wrong shape
            or beside those that the model uses, an architecture without a language model.
    """
    found, config = model_class(config)
    weights = {}
    for name in source.weight_files():
        weights.update(_open_weights(source.folder / name))
    with quiet_transformers(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of strange shapes, which end in an error anyway
        try:
            model, report = found.from_pretrained(
                None, config=config, state_dict=weights, dtype=dtype, output_loading_info=True
            )
        except UNUSABLE as error:
            _check_shapes(source, found, config, weights)
            raise ModelError(
                f"cannot load the model: {source.folder}: {first_line(error)}"
            ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"weights missing: {source.folder} lacks {len(missing)}: {', '.join(missing[:5])}"
        )
    _check_whole_numbers(source, weights)
    return settled(model), unused(source, model, sorted(report["unexpected_keys"]))


def settled(model: PreTrainedModel) -> PreTrainedModel:
    """`model` as it is run: in evaluation mode, without gradients, without a padding id."""
    model.train(mode=False).requires_grad_(requires_grad=False)
    # With a padding id, every forward pass compares the ids on the host and waits for the device.
    if text_config(model.config) is model.config:  # larger ones mask images with it
        vars(model.config)["pad_token_id"] = None  # some check what is assigned to them
    return model


def _check_shapes(
    source: ModelSource, found: Any, config: PreTrainedConfig, weights: dict[str, Any]
) -> None:
    """Name the first tensor of another shape than `config` says; transformers only counts them."""
    import torch

    with torch.device("meta"):  # shapes alone, nothing is allocated
        try:
            wanted = found._from_config(config).state_dict()  # noqa: SLF001
        except UNUSABLE:
            return
    for name, tensor in sorted(weights.items()):
        shape = tuple(tensor.get_shape())
        other = wanted.get(name, wanted.get(f"{found.base_model_prefix}.{name}"))
        if other is not None and shape != tuple(other.shape):
            raise ModelError(
                f"weights do not match the configuration: {source.folder}: {name} is {shape}, "
                f"{source.config.name} says {tuple(other.shape)}",
                hint=f"{source.config.name} belongs to other weights: use both from the same "
                "release",
            )


def _check_whole_numbers(source: ModelSource, weights: dict[str, Any]) -> None:
    """Refuse weights that are quantised though the configuration does not say so."""
    whole = [
        name
        for name, tensor in weights.items()
        if tensor.get_dtype() in QUANTIZED and name.endswith("weight")
    ]
    if whole:
        raise ModelError(
            f"quantised weights are not supported: {source.folder}: "
            f"{counted(len(whole), 'integer or 8-bit tensor')}: {', '.join(sorted(whole)[:5])}",
            hint="use the unquantised release of the model",
        )


def _open_weights(path: Path) -> dict[str, Any]:
    with files.disk_errors(path, "read"), path.open("rb") as file:
        start = file.read(STARTING_BYTES)
    if is_pickle(start):
        raise ModelError(
            f"a pickle, not safetensors: {path} was not opened because a pickle can run code",
            hint="save the model again with save_pretrained(), which writes model.safetensors",
        )
    try:
        opened: Any = safe_open(path, framework="pt")
        return {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ModelError(f"weights damaged: {path}: {error}") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers' reports and bars off the terminal: what matters becomes an error."""
    from transformers.utils import logging as reports

    logging: Any = reports
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
