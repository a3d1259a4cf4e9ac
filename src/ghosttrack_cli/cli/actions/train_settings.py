"""Which settings each layer trains with, and how a person is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.settings.flags import flag_names
from ghosttrack_cli.site import named_layers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.training.recorded import LayerSettings


def settings_of(session: Session, layer: AnySite, *, overwrite: bool) -> LayerSettings:
    """What a layer trains with: unless told otherwise, it goes on with what it was begun with."""
    from ghosttrack_cli.training.recorded import layer_settings

    sae, training = session.settings.sae, session.settings.sae_training
    if overwrite:
        return sae, training
    is_given = session.resolved.is_chosen
    return layer_settings(session.workspace, layer, sae, training, is_given=is_given)


def say_settings(session: Session, layers: tuple[AnySite, ...], *, overwrite: bool) -> None:
    """Say which layers go on with settings of their own, and with which."""
    from ghosttrack_cli.training.recorded import differences

    now = session.settings.sae, session.settings.sae_training
    words: dict[str, list[AnySite]] = {}
    for layer in layers:
        own = differences(settings_of(session, layer, overwrite=overwrite), now)
        words.setdefault(in_flags(own), []).append(layer)
    for flags, those in words.items():
        if flags:
            session.console.notice(f"{named_layers(those)}: as it was begun: {flags}")


def in_flags(settings: Mapping[str, tuple[object, object]]) -> str:
    """Settings as flags where they have one, else as in a settings file."""
    return ", ".join(
        f"{names[0]} {value}" if (names := flag_names(key)) else f"{key} = {value}"
        for key, (value, _) in settings.items()
    )


def widest(own: Mapping[AnySite, LayerSettings]) -> LayerSettings:
    """The settings of the layer that needs the most memory."""
    return max(own.values(), key=lambda both: both[0].d_hidden)
