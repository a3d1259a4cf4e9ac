"""In what something on disk is not what is requested: one comparison, one look."""

from __future__ import annotations

import pytest

from ghosttrack_cli.differences import differing, refuse
from ghosttrack_cli.errors import ConflictError

FOUND = {"a": 1, "corpus": {"files": 2, "kind": "local"}, "gone": 0, "empty": {}}
ASKED = {"a": 1, "corpus": {"files": 3, "kind": "local"}, "new": "x", "empty": {}}


def test_what_differs_stands_in_the_order_of_the_disk_then_what_is_new() -> None:
    assert list(differing(FOUND, ASKED, "store.").items()) == [
        ("store.corpus.files", (2, 3)),
        ("store.gone", (0, None)),
        ("store.new", (None, "x")),
    ]
    assert differing(FOUND, FOUND) == {}


def test_differences_are_refused_and_nothing_else_is() -> None:
    refuse("the store was made with different settings", {}, hint="leave them out")
    with pytest.raises(ConflictError) as caught:
        refuse("it differs", {"a": (1, 2), "b": ("x", None)}, hint="leave them out")
    assert (
        str(caught.value)
        == "it differs\n  a: 1 on disk, 2 requested\n  b: x on disk, None requested"
    )
    assert caught.value.fields == {"a": (1, 2), "b": ("x", None)}
    assert caught.value.hint == "leave them out"
