"""From the [interpretation] settings to a source of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli.differences import refuse
from ghosttrack_cli.interpretation.sources.prompt_sets import CorpusTexts, Texts, TruthfulQATexts
from ghosttrack_cli.interpretation.sources.slugs import hashed, limited, plain_name
from ghosttrack_cli.interpretation.sources.text_source import TextSource
from ghosttrack_cli.provenance import model_differences
from ghosttrack_cli.text.truthfulqa import is_truthfulqa, read_truthfulqa, split_examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from ghosttrack_cli.interpretation.collect.row_batch import RowSource
    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.settings.schema import CorpusSettings, InterpretationSettings
    from ghosttrack_cli.stage_request import InterpretationRequest
    from ghosttrack_cli.text.documents import Corpus
    from ghosttrack_cli.workspace import Workspace

HUB_TEXTS = 1000


def open_source(
    request: InterpretationRequest,
    model: ResidualModel,
    notice: Callable[[str], None] = lambda _: None,
) -> RowSource:
    """The rows that `texts` of the settings names.

    Of a corpus on the hub, the first HUB_TEXTS texts are read unless the settings say otherwise.

    Raises:
        StateError: store was asked and there is none.
        ConflictError: the store was made with a different model.
        CorpusError, HubError: the texts cannot be read.
    """
    settings = request.settings
    if settings.texts == "store":
        return _open_store(settings, model, request.workspace)
    texts = open_texts(request)
    for sentence in texts.notices():
        notice(sentence)
    everything = texts.kind == "truthfulqa" or Path(settings.texts).exists()
    return TextSource(texts, model, settings, max_texts=None if everything else HUB_TEXTS)


def _open_store(
    settings: InterpretationSettings, model: ResidualModel, workspace: Workspace
) -> RowSource:
    from ghosttrack_cli.interpretation.sources.store_source import StoreSource
    from ghosttrack_cli.store.read.reader import ActivationStore

    store = ActivationStore.open(workspace.store)
    stored, asked = store.identity, model.identity
    fields = model_differences(stored.model_record, asked.record)
    if stored.tokenizer_sha256 != asked.tokenizer_sha256:
        fields["tokenizer_sha256"] = (stored.tokenizer_sha256, asked.tokenizer_sha256)
    if fields:
        fields = {"model": (stored.model, asked.name), **fields}
    refuse(
        f"the store was made with a different model: {workspace.store}",
        fields,
        hint=f"leave --model out, the workspace knows its model, {stored.model};"
        " or use another --workspace",
    )
    return StoreSource(store, settings, model.device)


def open_texts(request: InterpretationRequest) -> Texts:
    """The texts that `texts` of the settings names, anything but the store; no model is needed.

    Raises:
        CorpusError, HubError: the texts cannot be read.
    """
    from ghosttrack_cli.text.corpus import open_corpus

    asked, corpus, cache_dir = request.settings.texts, request.corpus, request.cache_dir
    path = Path(asked)
    if asked == "truthfulqa":
        return _truthfulqa(None, corpus, cache_dir, asked)
    if is_truthfulqa(path, corpus.encoding):
        return _truthfulqa(path, corpus, cache_dir, path.name)
    named = corpus.model_copy(update={"source": asked})
    opened = open_corpus(named, cache_dir, flag="--texts")
    opened.check()
    slug = _file_slug(path, opened) if path.exists() else _corpus_slug(named)
    return CorpusTexts(opened, path.name, slug)


def _truthfulqa(
    path: Path | None, corpus: CorpusSettings, cache_dir: Path | None, name: str
) -> TruthfulQATexts:
    examples, left_out = read_truthfulqa(path, cache_dir=cache_dir, encoding=corpus.encoding)
    in_order = [example for part in split_examples(examples, seed=0) for example in part]
    return TruthfulQATexts(in_order, name, None if path is None else path.stem, left_out=left_out)


def _file_slug(path: Path, corpus: Corpus) -> str:
    """Another content is another source; where the file lies is not."""
    return hashed(f"texts-{plain_name(path.stem)}", corpus.identity())


def _corpus_slug(corpus: CorpusSettings) -> str:
    """A corpus by its name and by what was asked of it: language, date, column and so on."""
    asked = corpus.model_dump(mode="json", exclude_defaults=True, exclude={"source"})
    name = f"corpus-{plain_name(corpus.source)}"
    return hashed(name, asked) if asked else name


def source_slug(request: InterpretationRequest) -> str:
    """The slug of the source that `open_source` would open; local files are looked at.

    Raises:
        CorpusError: no such texts.
    """
    settings = request.settings
    if settings.texts in ("store", "truthfulqa"):
        return limited(settings.texts, settings)
    if Path(settings.texts).exists():
        return limited(open_texts(request).slug, settings)
    named = request.corpus.model_copy(update={"source": settings.texts})
    return limited(_corpus_slug(named), settings)
