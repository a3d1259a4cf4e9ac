"""Safetensors weights into a transformers model: checked first, nothing else ever opened."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ghosttrack_cli import files
from ghosttrack_cli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch
    from transformers import PreTrainedConfig, PreTrainedModel

    from ghosttrack_cli.model.source import ModelSource

PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def load_model(
    source: ModelSource, config: PreTrainedConfig, dtype: torch.dtype
) -> PreTrainedModel:
    """Build the model of `config` and fill it with the weights of `source`, in evaluation mode.

    Raises:
        ModelError: a file that is no safetensors file, weights that are missing or of the wrong
            shape, an architecture without a causal language model.
    """
    from transformers import AutoModelForCausalLM

    weights = {}
    for name in source.weight_files():
        weights.update(_open_weights(source.folder / name))
    with quiet_transformers():
        try:
            model_class = AutoModelForCausalLM._model_mapping[type(config)]  # noqa: SLF001
            model, report = model_class.from_pretrained(  # type: ignore[attr-defined]
                None,
                config=config,
                state_dict=weights,
                dtype=dtype,
                output_loading_info=True,
            )
        except (ValueError, KeyError, RuntimeError, AttributeError, ImportError) as error:
            raise ModelError(f"model not usable: {source.folder}: {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"weights missing: {source.folder} lacks {len(missing)}: {', '.join(missing[:5])}"
        )
    return _settled(model)


def _settled(model: PreTrainedModel) -> PreTrainedModel:
    model.train(mode=False).requires_grad_(requires_grad=False)
    # With a padding id, every forward pass compares the ids on the host and waits for the device.
    model.config.pad_token_id = None
    return model


def _open_weights(path: Path) -> dict[str, Any]:
    with files.disk_errors(path, "read"), path.open("rb") as file:
        start = file.read(4)
    if start.startswith(PICKLE_STARTS):
        raise ModelError(
            f"a pickle, not safetensors: {path} was not opened, a pickle can run code",
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
