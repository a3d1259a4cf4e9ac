"""What a search over features means: the same words, levels and order in terminal and page.

A query is words, and phrases in quotes; each must be found in something that the feature's report
holds. The place where it is found is its level, the first of these that has it:

    0  the number or a flag of the feature is the term
    1  a firing token
    2  a promoted token
    3  a suppressed token
    4  the text of a top example
    5  the text of another example

The best answers have the smallest level of their worst term; then firing tokens that tell more,
then features that tell more. The page's part is browser/assets/search.js.
"""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ghosttrack_cli.report.feature_schema import FiringToken

FINAL_SIGMA, SIGMA = "\u03c2", "\u03c3"
SPACES = re.compile(r"[ \t\n\r\f\v]+")


def caseless(text: str) -> str:
    r"""Text as it is compared: compatible forms, case and kinds of white space do not matter.

    >>> caseless("Straße\n  ΣΊΣΥΦΟΣ ﬁle")
    'strasse σίσυφοσ file'
    """
    lowered = unicodedata.normalize("NFKC", text).upper().lower().replace(FINAL_SIGMA, SIGMA)
    return SPACES.sub(" ", lowered)


def terms(query: str) -> list[str]:
    """The words of a query, and its phrases as they stand, each once.

    An unclosed quote reaches to the end.

    >>> terms('The  " module" the "a b')
    ['the', ' module', 'a b']
    """
    return list(dict.fromkeys(_terms(caseless(query))))


def _terms(query: str) -> Iterator[str]:
    for place, part in enumerate(query.split('"')):
        yield from filter(None, [part] if place % 2 else part.split(" "))


def strength(token: FiringToken) -> float:
    """What a firing says about a token, in bits: P(token | fires) log2(lift); 0 if nothing."""
    return token.p_token_given_fires * math.log2(token.lift) if token.lift > 1 else 0.0
