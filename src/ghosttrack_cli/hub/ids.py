"""What can be the id of a model or a data set on the hub."""

from __future__ import annotations

import re

NAME = r"[A-Za-z0-9_][\w.-]{0,95}"
HUB_ID = re.compile(rf"(?P<owner>{NAME}/)?{NAME}", re.ASCII)


def is_hub_id(text: str, *, owned: bool = False) -> bool:
    """Whether `text` is written as an id, owner/name; `owned`: never without an owner.

    >>> is_hub_id("gpt2"), is_hub_id("gpt2", owned=True), is_hub_id("../gpt2")
    (True, False, False)
    """
    found = HUB_ID.fullmatch(text)
    return found is not None and ".." not in text and not (owned and found["owner"] is None)
