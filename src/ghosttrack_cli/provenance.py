"""Which model an artefact was made with, and in what another one is known to differ from it.

What is not recorded is not known to differ: older artefacts, and those of other programs, say less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.differences import differing
from ghosttrack_cli.site import Site, hook_site, usual

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.differences import Fields
    from ghosttrack_cli.site import AnySite


TOKENIZER = "tokenizer"
"""The part of a configuration that decides which rows there are, but not what they are."""
HOOK = re.compile(r"blocks\.\d+\..+", re.ASCII)


@dataclass(frozen=True)
class ModelRecord:
    """A model as artefacts record it; `config` is what of its configuration decides rows."""

    name: str | None
    weights_sha256: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The record of an SAE, which needs no tokenizer."""
        config = {name: value for name, value in self.config.items() if name != TOKENIZER}
        return {"name": self.name, "weights_sha256": self.weights_sha256, "config": config}

    @classmethod
    def from_json(cls, document: Any) -> ModelRecord:
        """Read a record; whatever is not one records nothing."""
        known = document if isinstance(document, dict) else {}
        config = known.get("config")
        return cls(
            known.get("name"),
            known.get("weights_sha256"),
            config if isinstance(config, dict) else {},
        )


def model_differences(found: ModelRecord, asked: ModelRecord) -> Fields:
    """Weights and configuration in which two models differ; names differ with the weights only."""
    fields = config_differences(found.config, asked.config)
    weights = (found.weights_sha256, asked.weights_sha256)
    if None not in weights and weights[0] != weights[1]:
        names = {} if found.name == asked.name else {"model": (found.name, asked.name)}
        fields = {**names, "weights_sha256": weights, **fields}
    return fields


def config_differences(found: Mapping[str, Any], asked: Mapping[str, Any]) -> Fields:
    """Fields of two configurations that both have and that differ.

    A field that only one has is one that another version of transformers does not know.
    """
    both = sorted(found.keys() & asked.keys())
    fields = differing(
        {name: found[name] for name in both}, {name: asked[name] for name in both}, "model_config."
    )
    return dict(sorted(fields.items()))


def sae_differences(
    metadata: Mapping[str, Any], layer: AnySite, asked: ModelRecord | None = None
) -> Fields:
    """In what the layer and the model that an SAE's `cfg.json` records are not those asked."""
    fields: Fields = {}
    site, hook_name = usual(layer), metadata.get("hook_name")
    match = HOOK.fullmatch(str(hook_name))
    recorded = hook_site(hook_name)
    if recorded is not None and recorded.layer != site.layer:
        fields["layer"] = (recorded.layer, site.layer)
    if match and (recorded is None or recorded.point != site.point):
        fields["hook_name"] = (match[0], Site.of(layer).hook_name)
    if asked is not None:
        fields |= model_differences(ModelRecord.from_json(metadata.get("model")), asked)
    return fields
