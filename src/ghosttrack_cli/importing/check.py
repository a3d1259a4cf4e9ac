"""Whether an SAE is of the rows that it is put to: on a wrong hook it explains nothing.

N rows, D d_model, F d_hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ghosttrack_cli.differences import refuse
from ghosttrack_cli.errors import ModelError, UsageError
from ghosttrack_cli.metrics import ReconstructionSums
from ghosttrack_cli.quantities import format_figure
from ghosttrack_cli.site import usual

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.foreign.found import ForeignSAE
    from ghosttrack_cli.importing.rows import CheckedRows
    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.site import Site

MAX_FVU = 1.0
ENTRIES_AT_ONCE = 2**24
ALIASES = {"gpt2-small": "gpt2"}
"""What TransformerLens calls a model that has another name on the hub."""


@dataclass(frozen=True)
class Fit:
    """How well an SAE reconstructs `tokens` rows."""

    tokens: int
    fvu: float
    l0: float


def chosen_site(found: ForeignSAE, asked: Site | None) -> Site:
    """The site that the SAE belongs to.

    Raises:
        UsageError: nobody says it.
        ConflictError: what is asked is not what the SAE says.
    """
    if asked is None and found.site is None:
        raise UsageError(
            "neither the SAE nor its name says which layer it belongs to",
            hint="name it: --layer 6, or --site 6.mlp_out",
        )
    site = usual(asked if asked is not None else found.site or 0)
    if found.site is not None and usual(found.site) != site:
        refuse(
            "the SAE belongs to another hook or layer",
            {"hook_name": (found.site.hook_name, site.hook_name)},
            hint=f"leave --layer out, or use --site {found.site}",
        )
    return site


def check_width(found: ForeignSAE, d_model: int, model: str) -> None:
    """Refuse an SAE of rows of another width.

    Raises:
        ConflictError: names both.
    """
    if found.sae.d_model != d_model:
        fields = {"d_model": (found.sae.d_model, d_model)}
        refuse(
            f"the SAE was trained on another model or hook than {model}",
            fields | _model_name(found, model),
            hint=f"its own model is {found.model_name or 'not recorded'}",
        )


def _model_name(found: ForeignSAE, model: str) -> dict[str, tuple[object, object]]:
    named = found.model_name
    return {} if named is None or plain(named) == plain(model) else {"model_name": (named, model)}


def plain(model: str) -> str:
    """A model's name without its owner, as TransformerLens and the hub both have it.

    >>> plain("openai-community/gpt2") == plain("gpt2-small")
    True
    """
    name = model.rstrip("/").rpartition("/")[2].lower()
    return ALIASES.get(name, name)


def mismatches(found: ForeignSAE, rows: CheckedRows) -> list[str]:
    """What differs between its own rows and those here, field by field; none of it is fatal."""
    said = [
        f"model_name: the SAE was trained on {theirs}, here it is {ours}"
        for theirs, ours in _model_name(found, rows.model).values()
    ]
    if found.prepend_bos is False:
        said.append(
            "prepend_bos: the SAE was trained without a beginning-of-text token, which opens"
            " each window here"
        )
    if found.context_size is not None and found.context_size < rows.context:
        said.append(
            f"context_size: the SAE was trained on windows of {found.context_size} tokens, here"
            f" they have {rows.context}"
        )
    return said


@torch.inference_mode()
def measure(sae: SAE, x: Tensor) -> Fit:
    """FVU and L0 on rows x (N, D)."""
    sums = ReconstructionSums(sae.d_model)
    for part in torch.split(x, max(1, ENTRIES_AT_ONCE // sae.d_hidden)):
        acts = sae.encode(part)
        sums.update(part, sae.decode(acts), acts)
    result = sums.result()
    return Fit(result.rows, result.fvu, result.l0)


def check_fit(fit: Fit, site: Site) -> None:
    """Refuse an SAE that is worse than none.

    Raises:
        ModelError: its FVU is above 1, or not a number.
    """
    if not fit.fvu <= MAX_FVU:
        raise ModelError(
            f"wrong hook or layer? On {fit.tokens:,} tokens at {site.hook_name} the FVU of the SAE"
            f" is {format_figure(fit.fvu)} (L0 {format_figure(fit.l0)}): its reconstruction is"
            " worse than the mean",
            hint="look at what the SAE was trained on, and name its place with --site;"
            " or name its model with --model",
        )
