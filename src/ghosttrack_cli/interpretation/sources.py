"""From the [interpretation] settings to a source of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import ConflictError
from ghosttrack_cli.interpretation.text_source import TextSource
from ghosttrack_cli.interpretation.texts import CorpusTexts, Texts, TruthfulQATexts
from ghosttrack_cli.provenance import model_differences
from ghosttrack_cli.text.truthfulqa import is_truthfulqa, load_truthfulqa

if TYPE_CHECKING:
    from ghosttrack_cli.interpretation.batch import RowSource
    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.settings import CorpusSettings, InterpretationSettings
    from ghosttrack_cli.workspace import Workspace

HUB_TEXTS = 1000


def open_source(
    settings: InterpretationSettings,
    corpus: CorpusSettings,
    model: ResidualModel,
    workspace: Workspace,
    cache_dir: Path | None,
) -> RowSource:
    """The rows that `settings.texts` names.

    Of a corpus on the hub, the first HUB_TEXTS texts are read unless the settings say otherwise.

    Raises:
        StateError: store was asked and there is none.
        ConflictError: the store was made with another model.
        CorpusError, HubError: the texts cannot be read.
    """
    if settings.texts == "store":
        return _open_store(settings, model, workspace)
    texts = _open_texts(settings, corpus, cache_dir)
    everything = texts.kind == "truthfulqa" or Path(settings.texts).exists()
    return TextSource(texts, model, settings, max_texts=None if everything else HUB_TEXTS)


def _open_store(
    settings: InterpretationSettings, model: ResidualModel, workspace: Workspace
) -> RowSource:
    from ghosttrack_cli.interpretation.store_source import StoreSource
    from ghosttrack_cli.store.reader import ActivationStore

    store = ActivationStore.open(workspace.store)
    stored, asked = store.identity, model.identity
    fields = model_differences(stored.model_record, asked.record)
    if stored.tokenizer_sha256 != asked.tokenizer_sha256:
        fields["tokenizer_sha256"] = (stored.tokenizer_sha256, asked.tokenizer_sha256)
    if fields:
        raise ConflictError(
            f"the store was made with another model: {workspace.store}",
            fields=fields,
            hint=f"--model {stored.model}, or --texts to run other texts through this model",
        )
    return StoreSource(store, settings, model.device)


def _open_texts(
    settings: InterpretationSettings, corpus: CorpusSettings, cache_dir: Path | None
) -> Texts:
    from ghosttrack_cli.text.corpus import open_corpus

    path = Path(settings.texts)
    if settings.texts == "truthfulqa" or is_truthfulqa(path, corpus.encoding):
        parts = load_truthfulqa(
            None if settings.texts == "truthfulqa" else path,
            cache_dir=cache_dir,
            encoding=corpus.encoding,
        )
        return TruthfulQATexts([example for part in parts for example in part], "truthfulqa")
    named = corpus.model_copy(update={"source": settings.texts})
    return CorpusTexts(open_corpus(named, cache_dir, flag="--texts"), path.name)
