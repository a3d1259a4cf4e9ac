"""SAELens' cached-activations runner on a model of the same size and the same token ids.

It needs `pip install sae-lens`, which is for this benchmark only. Weights are random: only the
speed matters. SAELens keeps one layer a run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ghosttrack_cli.text.windows import WindowBatch


def caching_run(
    config: Any, layer: int, batches: list[WindowBatch], folder: Path
) -> Callable[[], None]:
    """The runner over `batches` for one layer of a GPT-2 with the `transformers` configuration."""
    from datasets.arrow_dataset import Dataset
    from sae_lens import cache_activations_runner as runner

    model = hooked_transformer(config)
    windows, context = batches[0].input_ids.shape
    ids = np.concatenate([batch.input_ids for batch in batches])
    texts = Dataset.from_dict({"input_ids": ids.tolist()})
    options = runner.CacheActivationsRunnerConfig(
        dataset_path="benchmark",
        model_name="benchmark",
        model_batch_size=windows,
        hook_name=f"blocks.{layer}.hook_resid_post",
        d_in=config.hidden_size,
        training_tokens=ids.size,
        context_size=context,
        new_cached_activations_path=str(folder / "saelens"),
        shuffle=False,
        device="cpu",
        # One buffer for all: a part of a buffer at the end is dropped.
        buffer_size_gb=(ids.size + 1) * config.hidden_size * 4 / 1e9,
        streaming=False,
    )

    def work() -> None:
        shutil.rmtree(folder / "saelens", ignore_errors=True)
        with (
            mock.patch.object(runner, "load_model", return_value=model),
            open(os.devnull, "w") as nowhere,  # noqa: PTH123 - its progress bar
            contextlib.redirect_stderr(nowhere),
        ):
            cached = runner.CacheActivationsRunner(options, override_dataset=texts).run()
        assert len(cached) == len(ids), "SAELens did not keep every window"

    return work


def hooked_transformer(config: Any) -> Any:
    """The model that SAELens runs by default, which ends its pass after the layer asked."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    torch.manual_seed(0)
    shape = HookedTransformerConfig(
        n_layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        n_ctx=config.n_positions,
        d_head=config.hidden_size // config.num_attention_heads,
        n_heads=config.num_attention_heads,
        d_vocab=config.vocab_size,
        act_fn="gelu_new",
        normalization_type="LN",
        default_prepend_bos=True,
        device="cpu",
    )
    model = HookedTransformer(shape)
    return model.train(mode=False)
