"""Which layers a run interprets, and which of them go through the data together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ghosttrack_cli.interpretation import inputs
from ghosttrack_cli.interpretation.used_settings import used_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ghosttrack_cli.interpretation.collect.row_batch import RowSource
    from ghosttrack_cli.interpretation.inputs import Trained
    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.report.record import SettingValue
    from ghosttrack_cli.settings.schema import InterpretationSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace

STATE_BYTES = 4 << 30
TABLES = 3
EVENT_BYTES = 40
TOKEN_BYTES = 8
COUNTER_BYTES = 2000


@dataclass(frozen=True)
class Job:
    """One layer to interpret."""

    trained: Trained
    median_norm: float | None
    fingerprint: str
    used: dict[str, SettingValue]

    @property
    def layer(self) -> AnySite:
        """The layer."""
        return self.trained.layer

    @property
    def features(self) -> int:
        """How many features its SAE has."""
        return self.trained.sae.d_hidden


def load_job(
    layer: AnySite,
    model: ResidualModel,
    source: RowSource,
    settings: InterpretationSettings,
    workspace: Workspace,
) -> Job:
    """Load a layer's SAE and fingerprint everything that its report depends on.

    Raises:
        StateError, ModelError, CorruptionError, ConflictError: no SAE there that fits the model.
    """
    kind = settings.checkpoint
    folder, history = workspace.sae(layer, kind), workspace.history(layer)
    trained = inputs.load_trained(layer, folder, kind, history, model.device)
    inputs.check_fits(trained, model)
    median = inputs.median_norm(layer, model, workspace)
    used = used_settings(settings, trained, workspace.training_progress(layer))
    fingerprint = inputs.fingerprint(trained, source, model, settings, median, used)
    return Job(trained, median, fingerprint, used)


def groups(jobs: Iterable[Job], settings: InterpretationSettings) -> Iterator[list[Job]]:
    """Jobs that go through the data together, as many as fit into STATE_BYTES."""
    window = (2 * settings.context_tokens + 1) * TOKEN_BYTES
    each = TABLES * settings.top_examples * (window + EVENT_BYTES) + COUNTER_BYTES
    group: list[Job] = []
    for job in jobs:
        features = sum(one.features for one in [*group, job])
        if group and features * each > STATE_BYTES:
            yield group
            group = []
        group.append(job)
    if group:
        yield group
