"""GhostTrack: sparse features of a language model's residual stream.

Everything public is imported from here; each name loads its module when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ghosttrack_cli._version import __version__

if TYPE_CHECKING:
    from ghosttrack_cli.cli.summary import print_feature_summary
    from ghosttrack_cli.errors import GhostTrackError
    from ghosttrack_cli.extraction.api import HiddenStateExtractor
    from ghosttrack_cli.interpretation.api import analyze_sae
    from ghosttrack_cli.model.residual import GPT2WithResidualHooks
    from ghosttrack_cli.sae.jumprelu import JumpReLUSAE
    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.sae.registry import load_sae
    from ghosttrack_cli.settings.resolve import load_settings
    from ghosttrack_cli.settings.schema import Settings
    from ghosttrack_cli.site import Site
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.text.hub import WikipediaCorpus
    from ghosttrack_cli.text.truthfulqa import load_truthfulqa
    from ghosttrack_cli.training.api import train_sae_for_layer
    from ghosttrack_cli.training.trainer import Trainer

__all__ = [
    "SAE",
    "ActivationStore",
    "GPT2WithResidualHooks",
    "GhostTrackError",
    "HiddenStateExtractor",
    "JumpReLUSAE",
    "Settings",
    "Site",
    "Trainer",
    "WikipediaCorpus",
    "__version__",
    "analyze_sae",
    "load_sae",
    "load_settings",
    "load_truthfulqa",
    "print_feature_summary",
    "train_sae_for_layer",
]

_MODULES = {
    "ActivationStore": "store.read.reader",
    "GPT2WithResidualHooks": "model.residual",
    "GhostTrackError": "errors",
    "HiddenStateExtractor": "extraction.api",
    "JumpReLUSAE": "sae.jumprelu",
    "SAE": "sae.protocol",
    "Settings": "settings.schema",
    "Site": "site",
    "Trainer": "training.trainer",
    "WikipediaCorpus": "text.hub",
    "analyze_sae": "interpretation.api",
    "load_sae": "sae.registry",
    "load_settings": "settings.resolve",
    "load_truthfulqa": "text.truthfulqa",
    "print_feature_summary": "cli.summary",
    "train_sae_for_layer": "training.api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
