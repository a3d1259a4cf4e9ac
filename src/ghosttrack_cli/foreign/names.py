"""What names say: sites from the names of modules, models from those of repositories."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ghosttrack_cli.foreign.found import no_such_point
from ghosttrack_cli.provenance import HOOK
from ghosttrack_cli.site import RESID_POST, Site, hook_site

if TYPE_CHECKING:
    from ghosttrack_cli.site import Point

BLOCK = r"(?:model\.|transformer\.|gpt_neox\.|decoder\.|language_model\.)*(?:layers|h|blocks)"
MODULE = re.compile(rf"{BLOCK}[._](\d{{1,5}})(?:\.(.+))?", re.ASCII)
WITHIN: dict[str | None, Point] = {
    None: "resid_post",
    "output": "resid_post",
    "mlp": "mlp_out",
    "mlp.output": "mlp_out",
    "post_feedforward_layernorm.output": "mlp_out",
    "pre_feedforward_layernorm.output": "mlp_in",
    "attn": "attn_out",
    "attention": "attn_out",
    "self_attn": "attn_out",
}
"""What a module within a block puts out, by its name there."""


def named_site(name: str | None) -> Site | None:
    """The site of TransformerLens' or the model's own name for it; None for other names.

    >>> str(named_site("layers.10")), str(named_site("blocks.6.hook_mlp_out"))
    ('10', '6.mlp_out')

    Raises:
        ModelError: a place in a block that is not read here.
    """
    if name is None:
        return None
    found = hook_site(name)
    if found is not None:
        return found
    match = MODULE.fullmatch(name)
    if HOOK.fullmatch(name) or name == "hook_embed" or (match and match[2] not in WITHIN):
        raise no_such_point(name)
    return Site(int(match[1]), WITHIN[match[2]]) if match else None


def point_site(point: str | None, layer: int) -> Site:
    """Layer `layer` at the point that is called so; `resid_post` where it is not said.

    Raises:
        ModelError: no such point.
    """
    found = hook_site(f"blocks.{layer}.hook_{point or RESID_POST}")
    if found is None:
        raise no_such_point(f"{point} of layer {layer}")
    return found


def last_word(place: str) -> str:
    """The last name of a path.

    >>> last_word("EleutherAI/sae-llama/layers.10/")
    'layers.10'
    """
    return place.rstrip("/").rpartition("/")[2]
