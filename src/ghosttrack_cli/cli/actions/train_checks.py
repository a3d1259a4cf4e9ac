"""What training would refuse, looked for before hours of other work, or of other layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ghosttrack_cli.cli.actions.outcome import choose_layers
from ghosttrack_cli.cli.actions.train_settings import settings_of
from ghosttrack_cli.store.format.commit_record import read_commit

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.site import AnySite, Site
    from ghosttrack_cli.store.read.reader import ActivationStore


def check_settings(session: Session) -> None:
    """Refuse what training would refuse, before hours of work end without it."""
    from ghosttrack_cli.training.records.loggers import logger_names

    training = session.settings.sae_training
    logger_names(training.log_to)
    if training.layers_at_once is not None:  # to ask for the device loads torch
        from ghosttrack_cli.training.side_by_side import check_at_once

        check_at_once(training)


def stored_layers(session: Session, text: str | None) -> tuple[Site, ...]:
    """The layers asked for, all of which are in the store."""
    return choose_layers(
        text, read_commit(session.workspace.store).layers, have="rows in the store"
    )


def check_layers(
    session: Session, store: ActivationStore, layers: tuple[AnySite, ...], monitor: Monitor,
    *, overwrite: bool,
) -> None:  # fmt: skip
    """Refuse what the training of any of `layers` would refuse, before one of them begins."""
    from ghosttrack_cli.training.trainer import Trainer

    for layer in layers:
        sae, training = settings_of(session, layer, overwrite=overwrite)
        Trainer(
            store, layer, sae, training, session.workspace, monitor, overwrite=overwrite
        ).check()
