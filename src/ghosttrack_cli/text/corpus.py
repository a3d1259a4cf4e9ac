"""From the [corpus] settings to a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ghosttrack_cli.errors import CorpusError
from ghosttrack_cli.hub.ids import is_hub_id
from ghosttrack_cli.text.formats import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.settings.schema import CorpusSettings
    from ghosttrack_cli.text.documents import JSON, Corpus

OTHER_TEXT = "use another --corpus, or allow shorter texts: --min-characters 1"


def open_corpus(
    settings: CorpusSettings,
    cache_dir: Path | None = None,
    *,
    recorded: Mapping[str, JSON] | None = None,
    flag: str = "--corpus",
) -> Corpus:
    """The corpus that `settings.source` names: wikipedia, python-docs, a path, or a hub data set.

    `recorded` is the corpus identity of a run to be resumed: without a revision in the settings,
    the same data set on the hub is opened at the commit recorded there. `flag` is the one that
    named the source, for hints.

    Raises:
        CorpusError: no such file or folder, or nothing in it that can be read.
        HubError: the hub cannot be reached or refuses.
    """
    source = settings.source
    if source == "python-docs":
        from ghosttrack_cli.text.python_docs import PythonDocsCorpus

        return PythonDocsCorpus(min_characters=settings.min_characters)
    if source != "wikipedia":
        path = _existing(source)
        if path is not None:
            from ghosttrack_cli.text.local import LocalCorpus

            return LocalCorpus(
                path,
                column=settings.column,
                encoding=settings.encoding,
                min_characters=settings.min_characters,
                flag=flag,
            )
        if not is_hub_id(source, owned=True) or kind_of(Path(source)) is not None:
            raise CorpusError(f"no such file or folder: {source[:200]}", hint=_hint(flag))
    return _hub_corpus(settings, cache_dir, recorded or {}, flag)


def is_hub(settings: CorpusSettings) -> bool:
    """Whether `settings.source` names a data set on the hub, or nothing at all."""
    source = settings.source
    return source == "wikipedia" or (source != "python-docs" and _existing(source) is None)


def _hint(flag: str) -> str:
    names = "store, truthfulqa, wikipedia" if flag == "--texts" else "wikipedia, python-docs"
    return f"{flag} takes {names}, a file or folder, or owner/name on the hub"


def _existing(source: str) -> Path | None:
    try:
        path = Path(source)
        return path if path.exists() else None
    except (OSError, ValueError, RuntimeError):
        return None


def _hub_corpus(
    settings: CorpusSettings, cache_dir: Path | None, recorded: Mapping[str, JSON], flag: str
) -> Corpus:
    from ghosttrack_cli.text.hub import WIKIPEDIA, HubCorpus, WikipediaCorpus

    wikipedia = settings.source == "wikipedia"
    repository = WIKIPEDIA if wikipedia else settings.source
    revision = settings.revision
    if revision is None and recorded.get("repository") == repository:
        revision = recorded.get("commit")
    if wikipedia:
        return WikipediaCorpus(
            cache_dir,
            settings.language,
            settings.date,
            split=settings.split,
            column=settings.column,
            revision=revision,
            min_characters=settings.min_characters,
            flag=flag,
        )
    return HubCorpus(
        repository,
        config=settings.config,
        split=settings.split,
        column=settings.column,
        revision=revision,
        min_characters=settings.min_characters,
        cache_dir=cache_dir,
        flag=flag,
    )
