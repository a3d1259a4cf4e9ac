"""One layer's way through the stages: rows stored, SAE trained, features interpreted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.report.stored import (
    SCHEMA_VERSION,
    SUMMARY,
    layer_reports,
    old_layouts,
    wrong_sizes,
)
from ghosttrack_cli.sae.checksums import is_another_sae
from ghosttrack_cli.sae.origin import Imported, read_imported
from ghosttrack_cli.status.manifests import Manifest, read_manifest, read_object

if TYPE_CHECKING:
    from ghosttrack_cli.report.stored import StoredReport
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace

IMPORTED = "imported"
CURVES = {"loss": "val_loss", "L0": "sparsity", "FVU": "fvu", "dead": "dead_fraction"}
"""What the course of a training shows, and the history's columns for it."""


@dataclass(frozen=True)
class Best:
    """The evaluation whose SAE is kept as `best`."""

    step: int
    fvu: float
    l0: float


@dataclass(frozen=True)
class Expected:
    """The accepted L0, the FVU that is good there, and the target and width it depends on."""

    l0_min: float
    l0_max: float
    fvu: float
    d_hidden: int
    target_l0: float


@dataclass(frozen=True)
class Retraining:
    """A training with --overwrite that is not finished; the SAE of before stands."""

    state: str
    step: int
    total_steps: int


@dataclass(frozen=True)
class TrainingStatus:
    """Progress and held-out metrics of a layer's SAE, None where not known yet."""

    state: str
    step: int
    total_steps: int
    recon_loss: float | None
    fvu: float | None
    l0: float | None
    dead: float | None
    rows: int | None
    """Held-out rows behind the metrics."""
    dead_rows: int | None
    """Rows in which a dead feature never fired."""
    converged: bool | None
    best: Best | None = None
    """The SAE that `best` is; None before there is one."""
    expected: Expected | None = None
    """What the layer is judged by; None in a manifest that does not say."""
    device: str | None = None
    """What it was trained on."""
    retraining: Retraining | None = None
    seconds: float | None = None
    """Of training so far."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What it was begun with, by dotted key."""
    curves: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Each of CURVES, one value an evaluation."""
    curve_rows: tuple[float, ...] = ()
    """Held-out rows behind each value of the curves, but for `dead`."""
    imported: Imported | None = None
    """Where an SAE comes from that was not trained here."""

    @property
    def finished(self) -> bool:
        """Whether training went to its end, here or elsewhere."""
        return self.state in ("finished", IMPORTED)

    @property
    def seconds_left(self) -> float | None:
        """Of a training that goes on as it went; None where nothing is known or left."""
        if self.finished or not self.seconds or not self.step:
            return None
        return self.seconds * (self.total_steps - self.step) / self.step


@dataclass(frozen=True)
class InterpretationStatus:
    """A report of a layer: how many features it has, over which rows."""

    slug: str
    """Names the source among the layer's reports."""
    features: int
    active: int | None
    dead: int | None
    rows: int | None
    source: str | None
    outdated: bool
    """Whether the layer's SAE was replaced since: the features are those of the earlier one."""
    damaged: bool = False
    """Whether a file is missing or has another size than it was written with."""


@dataclass(frozen=True)
class LayerStatus:
    """One layer of the workspace."""

    layer: AnySite
    rows: int
    asked_rows: int
    bytes: int
    training: TrainingStatus | None
    interpretations: tuple[InterpretationStatus, ...]
    """One for each source of rows, the newest first."""

    @property
    def interpretation(self) -> InterpretationStatus | None:
        """The newest report."""
        return self.interpretations[0] if self.interpretations else None

    @property
    def interpreted(self) -> bool:
        """Whether a whole report describes the SAE that is there."""
        return any(not (one.outdated or one.damaged) for one in self.interpretations)

    @property
    def stored(self) -> bool:
        """Whether all rows asked for are there."""
        return 0 < self.asked_rows <= self.rows


def read_training(
    workspace: Workspace, layer: AnySite, problems: list[str]
) -> TrainingStatus | None:
    """What the training of `layer` left behind, or the import of its SAE."""
    imported = read_imported(workspace.sae(layer, "best"))
    if imported is not None:
        return _of_import(imported, _retraining(workspace, layer, problems))
    manifest = read_manifest(workspace.training_progress(layer), problems)
    if manifest is None:
        return None
    history = read_object(workspace.history(layer), problems) or Manifest()
    return TrainingStatus(
        state=manifest.text("state") or "unknown",
        step=manifest.integer("step") or 0,
        total_steps=manifest.integer("total_steps") or 0,
        recon_loss=manifest.number("metrics", "recon_loss"),
        fvu=manifest.number("metrics", "fvu"),
        l0=manifest.number("metrics", "l0"),
        dead=manifest.number("metrics", "dead_fraction"),
        rows=manifest.integer("metrics", "rows"),
        dead_rows=manifest.integer("metrics", "dead_rows"),
        converged=manifest.flag("metrics", "converged"),
        best=_best(manifest),
        expected=_expected(manifest),
        device=manifest.text("environment", "device"),
        retraining=_retraining(workspace, layer, problems),
        seconds=manifest.number("seconds"),
        settings=manifest.mapping("settings"),
        curves={name: history.numbers(column) for name, column in CURVES.items()},
        curve_rows=history.numbers("val_rows"),
    )


def _of_import(imported: Imported, retraining: Retraining | None) -> TrainingStatus:
    return TrainingStatus(
        state=IMPORTED,
        step=0,
        total_steps=0,
        recon_loss=None,
        fvu=imported.fvu,
        l0=imported.l0,
        dead=None,
        rows=imported.tokens,
        dead_rows=None,
        converged=None,
        retraining=retraining,
        curves=dict.fromkeys(CURVES, ()),
        imported=imported,
    )


def _retraining(workspace: Workspace, layer: AnySite, problems: list[str]) -> Retraining | None:
    manifest = read_manifest(workspace.retraining(layer).training_progress(layer), problems)
    if manifest is None:
        return None
    return Retraining(
        state=manifest.text("state") or "unknown",
        step=manifest.integer("step") or 0,
        total_steps=manifest.integer("total_steps") or 0,
    )


def _best(manifest: Manifest) -> Best | None:
    step = manifest.integer("best", "step")
    fvu, l0 = manifest.number("best", "fvu"), manifest.number("best", "l0")
    return None if step is None or fvu is None or l0 is None else Best(step, fvu, l0)


def _expected(manifest: Manifest) -> Expected | None:
    names = ("l0_min", "l0_max", "fvu", "target_l0")
    low, high, fvu, target = (manifest.number("expected", name) for name in names)
    width = manifest.integer("expected", "d_hidden")
    if low is None or high is None or fvu is None or target is None or width is None:
        return None
    return Expected(low, high, fvu, width, target)


def read_interpretations(
    workspace: Workspace, layer: AnySite, problems: list[str]
) -> tuple[InterpretationStatus, ...]:
    """The reports of `layer`, the newest first."""
    if layer in old_layouts(workspace.interpretations):
        folder = workspace.interpretations / f"layer_{layer}"
        problems.append(f"a report of an earlier version, which `interpret` moves: {folder}")
    found = layer_reports(workspace.interpretations, layer)
    return tuple(filter(None, (_read_report(workspace, one, problems) for one in found)))


def _read_report(
    workspace: Workspace, one: StoredReport, problems: list[str]
) -> InterpretationStatus | None:
    manifest = read_manifest(one.folder / SUMMARY, problems, schema=SCHEMA_VERSION)
    if manifest is None:
        return None
    wrong = _wrong_files(workspace, one)
    problems += wrong
    return InterpretationStatus(
        slug=one.source,
        features=_features(manifest),
        active=manifest.integer("counts", "active"),
        dead=manifest.integer("counts", "dead"),
        rows=manifest.integer("counts", "rows"),
        source=manifest.text("source", "name"),
        outdated=_is_outdated(workspace, one.layer, manifest),
        damaged=bool(wrong),
    )


def _wrong_files(workspace: Workspace, one: StoredReport) -> list[str]:
    """What is wrong twice: at the first look a new report may just have taken the old one's place.

    The summary is read each time.
    """
    wrong: list[str] = []
    for _ in range(2):
        listed = read_manifest(one.folder / SUMMARY, [], schema=SCHEMA_VERSION) or Manifest()
        records = workspace.interpretation(one.layer, one.source)
        size = listed.integer("records", "bytes")
        wrong = [
            *wrong_sizes(one.folder, listed.sizes("files")),
            *wrong_sizes(records.parent, {} if size is None else {records.name: size}),
        ]
        if not wrong:
            break
    return wrong


def _is_outdated(workspace: Workspace, layer: AnySite, summary: Manifest) -> bool:
    kind, weights = summary.text("sae", "checkpoint"), summary.text("sae", "weights_sha256")
    kinds = {"best": workspace.sae(layer, "best"), "final": workspace.sae(layer, "final")}
    return kind in kinds and is_another_sae(kinds[kind], weights)


def _features(manifest: Manifest) -> int:
    return manifest.integer("counts", "features") or 0
