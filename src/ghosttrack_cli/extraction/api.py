"""Extraction as the original calls it from Python."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ghosttrack_cli.arguments import as_layer, as_path, as_settings, require
from ghosttrack_cli.extraction.plan import existing_commit
from ghosttrack_cli.extraction.run import run
from ghosttrack_cli.extraction.task import Task
from ghosttrack_cli.monitor import Monitor
from ghosttrack_cli.settings.schema import ExtractionSettings, PathSettings
from ghosttrack_cli.site import checked
from ghosttrack_cli.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.text.documents import Corpus


class HiddenStateExtractor:
    """Streams a corpus through a loaded model into the workspace's store.

    Calling a method again continues what an earlier call or run began. What of the text is skipped
    or replaced, and all else that `monitor` would be told, is a warning without one.

    Args:
        model: a loaded model, `GPT2WithResidualHooks("gpt2")`.
        corpus: where the texts come from, `WikipediaCorpus()`.
        workspace: the folder that gets the store; default: ghosttrack-data, as on the command line.
        monitor: takes progress and notices; default: notices are warnings.

    Raises:
        UsageError: an argument that cannot be what it is passed as.

    Example:
        >>> extractor = HiddenStateExtractor(model, WikipediaCorpus(), workspace="run")
        >>> store = extractor.extract_for_layer(6, num_tokens=1_000_000)  # run/activations.zarr
    """

    def __init__(
        self,
        model: ResidualModel,
        corpus: Corpus,
        *,
        workspace: Path | str | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        require(model, "residuals", "model", "GPT2WithResidualHooks('gpt2')")
        require(corpus, "documents", "corpus", "WikipediaCorpus()")
        default = PathSettings().workspace
        root = default if workspace is None else as_path(workspace, "workspace")
        self.model = model
        self.corpus = corpus
        self.workspace = Workspace(root)
        self.monitor = Monitor(notice=warnings.warn) if monitor is None else monitor

    def extract_for_layer(
        self, layer_idx: AnySite, num_tokens: int = 1_000_000, batch_size: int | None = None
    ) -> Path:
        """Extract one layer.

        Args:
            layer_idx: the block after which the residual stream is read, from 0; or a `Site`, for
                another hook point of it.
            num_tokens: rows to have in the end, one a token, with those of earlier calls.
            batch_size: windows in a forward pass; default: found by trying.

        Returns:
            The store's folder, which `train_sae_for_layer` takes.

        Raises:
            UsageError: a layer or hook point that the model does not have, or no amount of tokens.
            ConflictError: the store was made with a different model, corpus or batch size.
        """
        self._extract((as_layer(layer_idx, "layer_idx"),), num_tokens, batch_size)
        return self.workspace.store

    def extract_all_layers(
        self, num_tokens: int = 1_000_000, batch_size: int | None = None
    ) -> dict[int, Path]:
        """Extract all layers in one pass.

        Args:
            num_tokens: rows of each layer to have in the end, one a token.
            batch_size: windows in a forward pass; default: found by trying.

        Returns:
            layer -> the store's folder; it is the same for all.

        Raises:
            UsageError: no amount of tokens.
            ConflictError: the store was made with a different model, corpus or batch size.
        """
        layers = tuple(range(self.model.n_layers))
        self._extract(layers, num_tokens, batch_size)
        return dict.fromkeys(layers, self.workspace.store)

    def _extract(
        self, layers: tuple[AnySite, ...], num_tokens: int, batch_size: int | None
    ) -> None:
        checked(layers, self.model.n_layers)
        given = {"tokens": num_tokens, "batch_size": batch_size}
        settings = as_settings(ExtractionSettings, given, {"tokens": "num_tokens"})
        for sentence in self.corpus.notices():
            self.monitor.notice(sentence)
        self.corpus.check()
        task = Task(self.model, self.corpus, layers, settings, self.workspace.store, self.monitor)
        run(task, existing_commit(self.workspace))
