"""What has to be said to go on with a layer where a settings file says something else now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.cli.hints import shell_word
from ghosttrack_cli.settings.flags import TRAIN, flags_of

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.status.layer_status import LayerStatus


def own_flags(session: Session, layer: LayerStatus) -> str:
    """The flags of `train` for what a begun layer has and the settings given now contradict.

    Without them the layer goes on as it was begun (`training.recorded`); what has no flag, only a
    settings file can say.
    """
    resolved = session.resolved
    recorded = layer.training.settings if layer.training else {}
    words = []
    for flag in flags_of(TRAIN):
        key = flag.keys[0]
        if key in recorded and resolved.is_chosen(key) and resolved.value(key) != recorded[key]:
            words.append(f"{flag.names[0]} {shell_word(str(recorded[key]))}")
    return " ".join(words)
