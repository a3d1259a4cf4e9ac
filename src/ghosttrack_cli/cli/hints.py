"""Hints that help where they are shown: commands of this workspace, no option that is not taken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ghosttrack_cli.settings.catalogue import CATALOGUE
from ghosttrack_cli.settings.flags import flags_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SWITCHES = ("overwrite", "repair", "yes", "dry-run", "verify", "check", "watch", "help")
COMMAND = re.compile(
    r"\bghosttrack ((?:extract|train|interpret(?: list| prompt)?|run|open|status|export)\b"
    rf"(?: --(?:(?:{'|'.join(SWITCHES)})\b|[a-z0-9-]+ (?:'[^']*'|\S*[^\s,;:])))*)"
)
"""A command in a sentence, with its options, to the first word that is none."""
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)(?: ('[^']*'|[^\s,;:]+))?")
TAKEN_BY_STAGES = ("layers", "dry-run", "overwrite", "yes")
"""What every stage takes beside its settings."""


def for_workspace(hint: str, again: Callable[[str], str]) -> str:
    """A hint whose commands are as `again` writes them: for a workspace and a settings file."""
    return hint if "--workspace " in hint else COMMAND.sub(lambda found: again(found[1]), hint)


def of_stage(hint: str, stage: str, command: str, given: Mapping[str, str]) -> str:
    """A hint of `stage` for who runs it by `command`, which takes other options.

    An option that `command` lacks becomes the stage's own command with what was `given`, if it
    stands with a value; else that command is named behind the hint.

    >>> of_stage("--max-tokens 9 or more", "interpret", "run", {"--texts": "a.txt"})
    'ghosttrack interpret --texts a.txt --max-tokens 9 or more'
    >>> of_stage("use a smaller --batch-size", "train", "run", {})
    'use a smaller --batch-size; --batch-size is an option of ghosttrack train'
    """
    whole = " ".join([f"ghosttrack {stage}", *(f"{name} {one}" for name, one in given.items())])
    missing = []
    parts = []
    end = 0
    for start, stop in (*(found.span() for found in COMMAND.finditer(hint)), (len(hint),) * 2):
        for found in OPTION.finditer(hint, end, start):
            if found[1] in _options(command) or found[1] not in _options(stage):
                continue
            if found[1] in SWITCHES or _is_value(found[1], found[2] or ""):
                parts.append((found.start(), whole))
            else:
                missing.append(f"--{found[1]}")
        end = stop
    for place, words in reversed(parts):
        hint = f"{hint[:place]}{words} {hint[place:]}"
    if not missing:
        return hint
    verb = "is an option" if len(missing) == 1 else "are options"
    return f"{hint}; {' and '.join(missing)} {verb} of {whole}"


def _options(command: str) -> set[str]:
    """The options of a command without the common ones, no dashes."""
    names = {name.lstrip("-") for flag in flags_of(command) for name in flag.names}
    if command == "run":
        return names | {"dry-run"}
    return names | (set(TAKEN_BY_STAGES) if command != "demo" else set())


def _is_value(option: str, word: str) -> bool:
    """Whether `word` behind an option is a value, and not the sentence going on."""
    words = {
        one
        for setting, known in CATALOGUE.items()
        if setting.endswith(option.replace("-", "_"))
        for one in known.words
    }
    return word in words or re.match(r"[\d'./~]", word) is not None


def without(command: str, flag: str) -> str:
    """A command line less a flag and its value, which is quoted as a shell wants it."""
    return re.sub(rf""" {flag} (?:'[^']*'|"[^"]*"|\S)+""", "", command)


def shell_word(word: str) -> str:
    """Quote `word` for a shell if it needs quotes."""
    import shlex

    return shlex.quote(word)
