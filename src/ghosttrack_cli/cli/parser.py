"""Typer's commands and groups, mended: switches show no type, errors know their command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

ORDER = (
    "extract",
    "train",
    "interpret",
    "open",
    "status",
    "run",
    "demo",
    "import",
    "export",
    "config",
)


class Mended:
    """What commands and groups do alike."""

    def get_params(self, ctx: typer.Context) -> list[Any]:
        """The parameters, switches without a type behind them."""
        return without_types(super().get_params(ctx))  # type: ignore[misc]

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Read the arguments; of a group those before the command's name."""
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc,no-any-return]
        except typer.TyperException as error:
            raise placed(error, ctx) from None


class Command(Mended, TyperCommand):  # type: ignore[misc]
    """One command."""


class Group(Mended, TyperGroup):  # type: ignore[misc]
    """A command with commands behind it, which are listed in the order of their use."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """The names of the commands, in order."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def without_types(parameters: Sequence[Any]) -> list[Any]:
    """The same parameters; Typer would write "<bool>" beside each one that takes no value."""
    for one in parameters:
        if getattr(one, "is_flag", False) and one.metavar is None:
            one.metavar = ""
    return list(parameters)


def placed(error: typer.TyperException, ctx: typer.Context) -> typer.TyperException:
    """The error with the command that it is about, which the parser itself does not know."""
    if getattr(error, "ctx", ctx) is None:
        error.ctx = ctx  # type: ignore[attr-defined]
    return error
