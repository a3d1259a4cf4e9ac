"""A model that was looked up: where its files are and what it is, before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.machine.devices import resolve_device, resolve_dtype
from ghosttrack_cli.model.description import describe, read_config
from ghosttrack_cli.model.source import find_source

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from transformers import PreTrainedConfig

    from ghosttrack_cli.model.description import ModelDescription
    from ghosttrack_cli.model.model_files import ModelSource
    from ghosttrack_cli.settings.schema import ModelSettings


@dataclass(frozen=True)
class FoundModel:
    """Its small files are here; `cache_dir` is where the hub's files are kept.

    `device` and `dtype` are what it will run on and compute in, as `settings` ask.
    """

    settings: ModelSettings
    source: ModelSource
    config: PreTrainedConfig
    description: ModelDescription
    device: torch.device
    dtype: torch.dtype
    cache_dir: Path | None


def find_model(settings: ModelSettings, cache_dir: Path | None = None) -> FoundModel:
    """Look a model up and read its configuration, once for whatever is done with it.

    Raises:
        UsageError: no such device or dtype, which is seen before a hub is asked; no such folder.
        HubError: the model is not in the cache, and the hub cannot be reached or refuses.
        ModelError: its configuration is damaged or of an unknown kind.
    """
    device = resolve_device(settings.device)
    dtype = resolve_dtype(settings.dtype, device)
    source = find_source(settings, cache_dir)
    config = read_config(source)
    measures = describe(source, config)
    return FoundModel(settings, source, config, measures, device, dtype, cache_dir)
