"""What is written as the id of a model or a data set."""

from __future__ import annotations

import pytest

from ghosttrack_cli.hub.ids import is_hub_id


@pytest.mark.parametrize("text", ["gpt2", "EleutherAI/pythia-70m", "a/_b", "x/y.z", "a" * 96])
def test_an_id(text: str) -> None:
    assert is_hub_id(text)
    assert is_hub_id(text, owned=True) == ("/" in text)


@pytest.mark.parametrize(
    "text", ["", "./gpt2", "/gpt2", "a/b/c", "a/", "/a", "a/.b", "a..b/c", "a b", "ä/b", "a" * 97]
)
def test_no_id(text: str) -> None:
    assert not is_hub_id(text)
