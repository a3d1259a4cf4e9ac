"""Text streamed from data sets on the Hugging Face hub."""

from __future__ import annotations

import hashlib
import itertools
import zlib
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.arguments import as_count, as_path
from ghosttrack_cli.errors import CorpusError, GhostTrackError
from ghosttrack_cli.hub.errors import HubRepository, look_up
from ghosttrack_cli.hub.fail_fast import HubWatch
from ghosttrack_cli.text.documents import ReadsAll
from ghosttrack_cli.text.formats import checked_text, missing_column
from ghosttrack_cli.text.position import checked_count, checked_position
from ghosttrack_cli.text.usable_texts import Keeper, LeftOut, warn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from ghosttrack_cli.text.documents import JSON, Document

WIKIPEDIA = "wikimedia/wikipedia"
UNREADABLE = (ValueError, OSError, EOFError, zlib.error)
"""What the library raises for files with other bytes than their kind has: text that is not UTF-8,
half a surrogate pair, JSON that ends early, damaged Parquet."""
START = {"file": 0, "row": 0, **Keeper("", 0).state()}
"""A place: a file of the split, a row of it, and how many documents came before or were dropped."""


class HubCorpus(ReadsAll):
    """One split of a data set, streamed in the order of its files at one commit.

    Nothing is asked of the hub before the identity or the documents are.

    Raises:
        HubError: the hub cannot be reached, refuses, or does not have the data set.
        CorpusError: it has no such configuration, split or column, or no text.
    """

    def __init__(
        self,
        repository: str,
        *,
        config: str | None = None,
        split: str = "train",
        column: str = "text",
        revision: str | None = None,
        min_characters: int = 100,
        cache_dir: Path | None = None,
        flag: str = "--corpus",
    ) -> None:
        self.flag = flag
        self.repository = repository
        self.config = config
        self.split = split
        self.column = column
        self.revision = revision
        self.min_characters = min_characters
        self.cache_dir = cache_dir
        self.watch = HubWatch(f"the data set {repository!r}")

    @property
    def name(self) -> str:
        """The id of the data set."""
        return self.repository

    def identity(self) -> dict[str, JSON]:
        """What must be equal for a run to be resumed: the commit and the files of the split."""
        files = self._files()
        return {
            "kind": "hub",
            "repository": self.repository,
            "config": self.config,
            "split": self.split,
            "commit": self._at.commit,
            "files": len(files),
            "sha256": hashlib.sha256("\n".join(files).encode()).hexdigest(),
            "column": self.column,
            "min_characters": self.min_characters,
        }

    def documents(self, state: JSON | None = None) -> HubStream:
        """The documents from `state` on, or from the beginning."""
        return HubStream(self, state)

    def rows(self) -> Any:
        """The split as a `datasets.IterableDataset`."""
        with _readable(self.watch.what), self.watch.errors():
            return self._builder.as_streaming_dataset(split=self.split)

    @cached_property
    def _at(self) -> HubRepository:
        return look_up("dataset", self.repository, self.revision)

    @cached_property
    def _builder(self) -> Any:
        commit = self._at.commit
        from datasets.load import load_dataset_builder

        self.watch.install()
        try:
            with self.watch.errors():
                # The prefix keeps a local folder of the same name from being read instead.
                builder = load_dataset_builder(
                    f"hf://datasets/{self.repository}",
                    self.config,
                    revision=commit,
                    cache_dir=None if self.cache_dir is None else str(self.cache_dir),
                )
        except (ValueError, FileNotFoundError) as error:
            raise CorpusError(
                f"cannot use {self.watch.what}: {str(error).splitlines()[0][:500]}",
                hint="[corpus] config names it, or GHOSTTRACK_CORPUS__CONFIG=NAME",
            ) from error
        self._require_split(builder)
        return builder

    def _require_split(self, builder: Any) -> None:
        splits = [str(name) for name in builder.config.data_files or {}]
        if self.split not in splits:
            raise CorpusError(
                f"no split {self.split!r}: {self.watch.what} has {', '.join(splits) or 'none'}",
                hint="[corpus] split names it, or GHOSTTRACK_CORPUS__SPLIT=NAME",
            )

    def _files(self) -> list[str]:
        return [str(file) for file in self._builder.config.data_files[self.split]]


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """Turn what the library raises for files that it cannot read into an error that says so."""
    try:
        yield
    except GhostTrackError:
        raise
    except UNREADABLE as error:
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise CorpusError(
            f"cannot read {what}: {reason}",
            hint="download its files and name their folder, as in --corpus FOLDER: there,"
            " half a character is replaced and said",
        ) from error


class HubStream:
    """Rows of the data set as documents; its place is a file, a row of it, and a count."""

    def __init__(self, corpus: HubCorpus, state: JSON | None) -> None:
        self._corpus = corpus
        place = START if state is None else checked_position(state, "a hub data set", START)
        self._keeper = Keeper(corpus.watch.what, corpus.min_characters, place, flag=corpus.flag)
        # The library has a state of its own, but that tells where a stream was resumed, too: two
        # runs that are at the same place would not be equal.
        self._rows = corpus.rows()
        self._file = checked_count(place["file"], "a hub data set", self._rows.num_shards - 1)
        self._row = place["row"]
        self._iterator = self._open()

    def _open(self) -> Any:
        part = self._rows.shard(num_shards=self._rows.num_shards, index=self._file)
        return iter(part.skip(self._row) if self._row else part)

    def __iter__(self) -> HubStream:
        return self

    def _next(self) -> Any:
        place = f"file {self._file + 1} of {self._rows.num_shards}, behind row {self._row:,}"
        with _readable(f"the rows of {self._corpus.watch.what}: {place}"):
            return self._next_row()

    def _next_row(self) -> Any:
        with self._corpus.watch.errors():
            row = next(self._iterator, None)
            while row is None and self._file + 1 < self._rows.num_shards:
                self._file, self._row = self._file + 1, 0
                self._iterator = self._open()
                row = next(self._iterator, None)
        self._row += row is not None
        return row

    def __next__(self) -> Document:
        while True:
            row = self._next()
            if row is None:
                self._keeper.require_any()
                raise StopIteration
            document = self._document(row)
            if document is not None:
                return document

    def _document(self, row: dict[str, Any]) -> Document | None:
        column, what = self._corpus.column, self._corpus.watch.what
        if column not in row:
            raise missing_column(what, column, row)
        text = checked_text(row[column], column, lambda: what)
        return self._keeper.keep(text)

    def state(self) -> JSON:
        """Where the stream is."""
        return {"file": self._file, "row": self._row, **self._keeper.state()}


class WikipediaCorpus(HubCorpus):
    """Articles of `wikimedia/wikipedia` in one language, as it was on one date.

    Args:
        cache_dir: where files from the hub are kept; default: the hub's cache.
        language: the code of a Wikipedia: en, de, simple.
        date: of the dump, YYYYMMDD.
        split: of the data set.
        column: that holds the text.
        revision: branch, tag or commit on the hub; default: main.
        min_characters: shorter articles are skipped, and counted.
        flag: the option that hints name.

    Example:
        >>> corpus = WikipediaCorpus(language="de").load()
        >>> batch = next(corpus.get_text_batches(8))  # 8 articles
    """

    def __init__(
        self,
        cache_dir: Path | str | None = None,
        language: str = "en",
        date: str = "20231101",
        *,
        split: str = "train",
        column: str = "text",
        revision: str | None = None,
        min_characters: int = 100,
        flag: str = "--corpus",
    ) -> None:
        super().__init__(
            WIKIPEDIA,
            config=f"{date}.{language}",
            split=split,
            column=column,
            revision=revision,
            min_characters=min_characters,
            cache_dir=None if cache_dir is None else as_path(cache_dir, "cache_dir"),
            flag=flag,
        )

    def load(self) -> Self:
        """Connect now, so that what is wrong shows here; returns itself.

        Raises:
            HubError: the hub cannot be reached or refuses.
            CorpusError: no such language, date or column.
        """
        self.identity()
        return self

    def get_text_batches(
        self, batch_size: int, max_batches: int | None = None
    ) -> Iterator[list[str]]:
        """Lists of `batch_size` articles from the beginning, at most `max_batches` of them.

        Args:
            batch_size: articles of a list; the last one may have fewer.
            max_batches: default: all that there are.

        Raises:
            UsageError: no such number.
            HubError: the hub cannot be reached or refuses.

        Articles of fewer than `min_characters` are skipped, with a warning at the end that counts
        them.
        """
        size = as_count(batch_size, "batch_size")
        most = None if max_batches is None else as_count(max_batches, "max_batches", least=0)
        return self._batches(size, most)

    def _batches(self, size: int, most: int | None) -> Iterator[list[str]]:
        stream = self.documents()
        texts = (document.text for document in stream)
        batches = iter(lambda: list(itertools.islice(texts, size)), [])
        yield from itertools.islice(batches, most)
        warn(self._left_out(stream))

    def get_texts(self, n: int) -> list[str]:
        """The first `n` articles of `min_characters` or more."""
        count = as_count(n, "n", least=0)
        stream = self.documents()
        texts = [document.text for document in itertools.islice(stream, count)]
        warn(self._left_out(stream))
        return texts

    def _left_out(self, stream: HubStream) -> list[str]:
        """What was left out before the last article."""
        return LeftOut.of(stream.state()).sentences(self.min_characters, "min_characters")
