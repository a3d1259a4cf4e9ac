"""Texts to run through the model, one a window, in groups that stay together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ghosttrack_cli.interpretation.collect.events import FACTUAL, HALLUCINATED, NO_ANSWER
from ghosttrack_cli.interpretation.sources.slugs import hashed, plain_name
from ghosttrack_cli.text.position import checked_count
from ghosttrack_cli.text.usable_texts import LeftOut, encodable, is_replaced

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ghosttrack_cli.interpretation.collect.row_batch import JSON
    from ghosttrack_cli.text.documents import Corpus
    from ghosttrack_cli.text.truthfulqa import TruthfulQAExample

NOTHING = LeftOut()


@dataclass(frozen=True)
class Text:
    """A window's text: `opening`, then `rest`, tokenised apart so that the border is known.

    `opening_seen` says that the opening stood in an earlier window too, so that its rows are not
    counted twice; `answer` says what `rest` is.
    """

    number: int
    opening: str
    rest: str = ""
    opening_seen: bool = False
    answer: int = NO_ANSWER
    question: int = NO_ANSWER


class Texts(Protocol):
    """Groups of texts in a fixed order; a group's texts go through in one batch."""

    @property
    def kind(self) -> Literal["truthfulqa", "corpus", "texts"]:
        """Where they come from."""
        ...

    @property
    def name(self) -> str:
        """What people call them."""
        ...

    @property
    def slug(self) -> str:
        """What a folder is called that holds something about them."""
        ...

    def notices(self) -> list[str]:
        """What lies beside the texts and is not read, in sentences."""
        ...

    def skipped_files(self) -> dict[str, int]:
        """The same as numbers, by reason."""
        ...

    def left_out(self, state: JSON | None) -> LeftOut:
        """What was left out or replaced up to `state`."""
        ...

    def identity(self) -> dict[str, JSON]:
        """What must be equal for a pass to go on."""
        ...

    def groups(self, state: JSON | None) -> Iterator[tuple[list[Text], JSON]]:
        """Each group with the state after it."""
        ...


class ListedTexts:
    """Texts that the caller already has."""

    kind: Literal["texts"] = "texts"
    name = "texts"

    def __init__(self, texts: Sequence[str]) -> None:
        self._replaced = [is_replaced(text) for text in texts]
        self._texts = [encodable(text) for text in texts]

    @property
    def slug(self) -> str:
        """By their hash."""
        return hashed(self.kind, self.identity())

    def notices(self) -> list[str]:
        """Nothing: all are read."""
        return []

    def skipped_files(self) -> dict[str, int]:
        """None."""
        return {}

    def left_out(self, state: JSON | None) -> LeftOut:
        """Texts in which unpaired surrogates were replaced."""
        return LeftOut(replaced=sum(self._replaced[: _begun(state, len(self._texts))]))

    def identity(self) -> dict[str, JSON]:
        """The texts themselves, by hash."""
        return {"kind": self.kind, "sha256": hash_texts(self._texts)}

    def groups(self, state: JSON | None) -> Iterator[tuple[list[Text], JSON]]:
        """One text a group."""
        for number in range(_begun(state, len(self._texts)), len(self._texts)):
            yield [Text(number, self._texts[number])], number + 1


class CorpusTexts:
    """The documents of a corpus."""

    kind: Literal["corpus"] = "corpus"

    def __init__(self, corpus: Corpus, name: str, slug: str) -> None:
        self._corpus = corpus
        self.name, self.slug = name, slug

    def notices(self) -> list[str]:
        """What is not read in the corpus' folder."""
        return self._corpus.notices()

    def skipped_files(self) -> dict[str, int]:
        """The same as numbers."""
        return self._corpus.skipped_files()

    def left_out(self, state: JSON | None) -> LeftOut:
        """As the corpus counts it."""
        return LeftOut.of(state)

    def identity(self) -> dict[str, JSON]:
        """The corpus' own."""
        return {"kind": self.kind, "corpus": self._corpus.identity()}

    def groups(self, state: JSON | None) -> Iterator[tuple[list[Text], JSON]]:
        """One document a group; at the end an empty one, with the state after all that is left."""
        stream = self._corpus.documents(state)
        for document in stream:
            yield [Text(document.id, document.text)], stream.state()
        yield [], stream.state()


class TruthfulQATexts:
    """Each question with its factual and with its hallucinated answer: two windows, one group."""

    kind: Literal["truthfulqa"] = "truthfulqa"

    def __init__(
        self,
        examples: Sequence[TruthfulQAExample],
        name: str = "truthfulqa",
        stem: str | None = None,
        *,
        left_out: LeftOut = NOTHING,
    ) -> None:
        """`stem` is the name of the file that they come from, if the user brought one.

        `left_out` counts what of it are no examples.
        """
        self._examples = examples
        self._left_out = left_out
        self.name = name
        self._stem = stem

    @property
    def slug(self) -> str:
        """Short for the data set that everybody knows, with a hash for a file."""
        if self._stem is None:
            return self.kind
        return hashed(f"{self.kind}-{plain_name(self._stem)}", self.identity())

    def notices(self) -> list[str]:
        """Nothing: all files are read."""
        return []

    def skipped_files(self) -> dict[str, int]:
        """None."""
        return {}

    def left_out(self, state: JSON | None) -> LeftOut:  # noqa: ARG002 - all were looked at before
        """Of all questions."""
        return self._left_out

    def identity(self) -> dict[str, JSON]:
        """All questions and answers, by hash."""
        texts = [
            text
            for example in self._examples
            for text in (example.prompt, example.factual_answer, example.hallucinated_answer)
        ]
        return {"kind": self.kind, "sha256": hash_texts(texts)}

    def groups(self, state: JSON | None) -> Iterator[tuple[list[Text], JSON]]:
        """The two texts of one question a group."""
        for number in range(_begun(state, len(self._examples)), len(self._examples)):
            example = self._examples[number]
            answers = (example.factual_answer, example.hallucinated_answer)
            group = [
                Text(2 * number + i, example.prompt, f" {answer}", i == 1, side, number)
                for i, (answer, side) in enumerate(
                    zip(answers, (FACTUAL, HALLUCINATED), strict=True)
                )
            ]
            yield group, number + 1


def _begun(state: JSON | None, count: int) -> int:
    """How many of `count` groups came before `state`."""
    return 0 if state is None else checked_count(state, "a list of texts", count)


def hash_texts(texts: Sequence[str]) -> str:
    """A SHA-256 over the lengths and characters of all texts."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
