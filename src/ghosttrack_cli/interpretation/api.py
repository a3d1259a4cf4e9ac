"""The original's way to call: an SAE, a model and texts in, one record for each feature out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ghosttrack_cli import files
from ghosttrack_cli.arguments import as_layer, as_path, as_texts, require
from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.interpretation import inputs
from ghosttrack_cli.interpretation.collect.collector import Collector, CollectorShape
from ghosttrack_cli.interpretation.collect.layer_pass import LayerPass
from ghosttrack_cli.interpretation.collect.row_batch import not_read, with_batch
from ghosttrack_cli.interpretation.features.feature_reports import FeatureBuilder, WeightFacts
from ghosttrack_cli.interpretation.features.weight_directions import Ranked
from ghosttrack_cli.interpretation.sources.prompt_sets import ListedTexts
from ghosttrack_cli.interpretation.sources.text_source import TextSource
from ghosttrack_cli.report import report_files
from ghosttrack_cli.report.token_text import TokenTexts
from ghosttrack_cli.sae.checksums import reading_folder
from ghosttrack_cli.sae.folder import sae_folder
from ghosttrack_cli.settings.schema import InterpretationSettings
from ghosttrack_cli.text.usable_texts import warn
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ghosttrack_cli.interpretation.inputs import Trained
    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.report.facts import SourceFacts
    from ghosttrack_cli.site import AnySite


def analyze_sae(
    sae_checkpoint_path: str | Path,
    model_wrapper: ResidualModel,
    layer_idx: AnySite,
    texts: Sequence[str],
    save_dir: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Find what the features of an SAE fire on in `texts`, in one pass for all of them.

    Texts that are cut at the context length, or hold unpaired surrogates, are counted in a warning.

    Args:
        sae_checkpoint_path: the folder of an SAE.
        model_wrapper: the model that the SAE was trained on, `GPT2WithResidualHooks("gpt2")`.
        layer_idx: the layer that the SAE was trained on, or its `Site`.
        texts: one or more.
        save_dir: gets the same as layer_N_interpretations.json; default: nothing is written.

    Returns:
        Element i is feature i: feature_id, active, num_activations (firings), top_activation and
        mean_activation (in units of the residual stream), common_tokens (pairs of text and count)
        and top_examples (text, token, activation, position).

    Raises:
        UsageError: an argument that cannot be what it is passed as.
        CorpusError: no texts.
        StateError, CorruptionError, ModelError, ConflictError: no SAE there that fits the model.

    Example:
        >>> features = analyze_sae("run/checkpoints/sae_layer_6_best", model, 6, ["Paris, France."])
        >>> features[12]["common_tokens"][:1]
        [(' France', 1)]
    """
    require(model_wrapper, "residuals", "model_wrapper", "GPT2WithResidualHooks('gpt2')")
    layer, texts = as_layer(layer_idx, "layer_idx"), as_texts(texts, "texts")
    if not texts:
        raise CorpusError("no texts to analyse", hint="pass texts=[...] with one text or more")
    folder = sae_folder(sae_checkpoint_path, "sae_checkpoint_path")
    results = None if save_dir is None else as_path(save_dir, "save_dir")
    with reading_folder(folder, "analyze_sae"):
        trained = inputs.load_trained(layer, folder, folder.name, None, model_wrapper.device)
    inputs.check_fits(trained, model_wrapper)
    collector, read = _collect(trained, model_wrapper, texts)
    warn(not_read(read))
    builder = FeatureBuilder(
        collector, _no_facts(trained.sae.d_hidden), TokenTexts(model_wrapper.tokenizer)
    )
    features = map(builder.feature, range(trained.sae.d_hidden))
    records = [report_files.original_record(feature) for feature in features]
    if results is not None:
        path = results / Workspace(results).interpretation(layer).name
        files.make_folder(results)
        files.write_bytes(path, report_files.original_file(records))
    return [record.model_dump() for record in records]


def _collect(
    trained: Trained, model: ResidualModel, texts: Sequence[str]
) -> tuple[Collector, SourceFacts]:
    settings = InterpretationSettings()
    shape = CollectorShape(
        d_hidden=trained.sae.d_hidden,
        vocabulary=max(model.vocab_size, len(model.tokenizer)),
        kept=settings.top_examples,
        side=settings.context_tokens,
        seed=settings.seed,
    )
    collector = Collector(shape, np.zeros((shape.d_hidden, 0), np.int64))
    special = model.identity.special_token_ids
    layer_pass = LayerPass(trained.layer, trained.sae, collector, special, None)
    source = TextSource(ListedTexts(texts), model, settings)
    facts = source.facts
    for batch in source.batches([trained.layer], None):
        layer_pass.update(batch)
        facts = with_batch(facts, batch)
    collector.finish()
    return collector, facts


def _no_facts(d_hidden: int) -> WeightFacts:
    nothing = Ranked(torch.zeros(d_hidden, 0, dtype=torch.int64), torch.zeros(d_hidden, 0))
    return WeightFacts(nothing, nothing, nothing, np.zeros(d_hidden))
