"""All stages from the command line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.cli.actions.extract import ExtractionOutlook, look_ahead, run_checked
from ghosttrack_cli.cli.actions.interpret import (
    interpret_layers,
    layers_to_interpret,
    plan_made_up,
)
from ghosttrack_cli.cli.actions.interpret import plan_layers as plan_interpretation
from ghosttrack_cli.cli.actions.outcome import Outcome, give
from ghosttrack_cli.cli.actions.train import train_layers
from ghosttrack_cli.cli.actions.train_checks import check_layers, check_settings, stored_layers
from ghosttrack_cli.cli.actions.train_plan import plan_store
from ghosttrack_cli.cli.actions.train_settings import settings_of
from ghosttrack_cli.cli.terminal.output import Line, Span, Table, line
from ghosttrack_cli.errors import ConflictError, GhostTrackError
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.quantities import format_seconds
from ghosttrack_cli.site import format_layers, named_layers

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.store.read.reader import ActivationStore


def run(session: Session, *, dry_run: bool) -> None:
    """Plan all stages, or do them."""
    with session.stage("train"):
        check_settings(session)  # before a hub is asked for anything
    if dry_run:
        give(session, plan_all(session))
        return
    give(session, run_all(session))


def check_texts(session: Session) -> str:
    """What the texts to interpret are called; refuses those that are not there.

    Raises:
        CorpusError: no such texts.
    """
    from ghosttrack_cli.interpretation.sources.choose import open_texts, source_slug

    request = session.request(session.settings.interpretation)
    if request.settings.texts not in {"store", "truthfulqa"}:
        open_texts(request)
    return source_slug(request)


def check_all(session: Session, ahead: ExtractionOutlook) -> tuple[ActivationStore, str]:
    """Refuse what any stage will refuse, before the first one begins.

    The store as it will be, and what the texts to interpret are called.

    Raises:
        GhostTrackError: as the stage itself would end.
    """
    from ghosttrack_cli.extraction.expected import expected_store
    from ghosttrack_cli.extraction.plan import existing_commit

    if ahead.refusal is not None:
        raise session.of_stage("extract", ahead.refusal)
    workspace = session.workspace
    store = expected_store(ahead.planned, existing_commit(workspace), workspace)
    with session.stage("train"):
        try:
            check_layers(session, store, ahead.planned.layers, SILENT, overwrite=False)
        except ConflictError as error:
            raise _grown(error, ahead) from None
    with session.stage("interpret"):
        return store, check_texts(session)


def _grown(error: ConflictError, ahead: ExtractionOutlook) -> ConflictError:
    """`error`, in words that fit a store whose further rows are asked for and not there yet."""
    planned = ahead.planned
    if set(error.fields) != {"store.rows"} or planned.action == "nothing":
        return error
    trained, asked = error.fields["store.rows"]
    layers = format_layers(planned.layers)
    return ConflictError(
        f"a layer was trained on {trained:,} rows, {asked:,} are requested",
        fields=error.fields,
        hint=f"ghosttrack extract --layers {layers} --tokens {planned.rows}, then"
        f" ghosttrack train --layers {layers} --overwrite",
    )


def plan_all(session: Session) -> Outcome:
    """What all three stages will do, need and take, and how they will end."""
    with session.stage("extract"):
        ahead = look_ahead(session, timed=True)
    extraction = ahead.outcome()
    heading = line(Span("1 of 3  extract", "bold"))
    blocks: list[Line | Table] = [heading, *extraction.blocks]
    document = {"extract": extraction.document["plan"]}
    try:
        store, texts = check_all(session, ahead)
    except GhostTrackError as error:
        return Outcome({"plan": document}, blocks, refusal=error)
    layers = ahead.planned.layers
    training = plan_store(session, store, layers, made_up=ahead.planned.action != "nothing")
    blocks += [line(Span("2 of 3  train", "bold")), *training.blocks]
    document["train"] = training.document
    if training.refusal is not None:
        refusal = session.of_stage("train", training.refusal)
        return Outcome({"plan": document}, blocks, refusal=refusal)
    try:
        interpretation = plan_last(session, ahead, store, training, texts)
    except GhostTrackError as error:
        refusal = session.of_stage("interpret", error)
        return Outcome({"plan": document}, blocks, refusal=refusal)
    blocks += [line(Span("3 of 3  interpret", "bold")), *interpretation.blocks]
    document["interpret"] = interpretation.document["plan"]
    return Outcome({"plan": document}, blocks, refusal=interpretation.refusal)


def plan_last(
    session: Session,
    ahead: ExtractionOutlook,
    store: ActivationStore,
    training: Outcome,
    texts: str,
) -> Outcome:
    """What interpretation will take: with the SAEs that are there, and made-up ones for others."""
    layers = ahead.planned.layers
    stays = ahead.planned.action == "nothing" or session.settings.interpretation.texts != "store"
    trained = [one["layer"] for one in training.document["plan"] if one["state"] == "finished"]
    ready = tuple(layer for layer in layers if stays and layer in trained)
    later = tuple(layer for layer in layers if layer not in ready)
    document: dict[str, Any] = {"layers": list(layers), "source": texts, "todo": list(later)}
    known = 0.0
    if ready:
        planned = plan_interpretation(session, ready).document["plan"]
        document["todo"] = sorted({*later, *planned["todo"]})
        known = planned["total_seconds"]
    seconds: float | None = known
    if later:
        absent = ahead.planned.model.download_bytes
        seconds = None if absent else known + made_up_seconds(session, store, later)
    document |= {"seconds": seconds, "made_up": list(later)}
    blocks: list[Line | Table] = [line(f"{named_layers(layers)} over {texts}")]
    blocks.append(line(f"time: {_time(seconds, later)}"))
    return Outcome({"plan": document}, blocks)


def made_up_seconds(session: Session, store: ActivationStore, layers: tuple[AnySite, ...]) -> float:
    """Seconds for layers without SAEs."""
    own = {layer: settings_of(session, layer, overwrite=False) for layer in layers}
    return plan_made_up(session, store, own).total_seconds


def _time(seconds: float | None, later: tuple[AnySite, ...]) -> str:
    if seconds is None:
        return "not measured: the model is not downloaded yet"
    if not seconds:
        return "none: all reports are current"
    made_up = f", from made-up SAEs of {named_layers(later)}" if later else ""
    return f"about {format_seconds(seconds)} on this machine{made_up}"


def run_all(session: Session) -> Outcome:
    """Run the three stages and put their outcomes together."""
    with session.stage("extract"):
        ahead = look_ahead(session, timed=False)
    check_all(session, ahead)
    asked = format_layers(ahead.planned.layers)
    session.console.detail(line(Span("1 of 3  extract", "bold")))
    assert ahead.checked is not None  # else check_all has refused
    with session.stage("extract"):
        extracted = run_checked(session, ahead.checked)
    session.console.detail(*_lines(extracted), line(Span("2 of 3  train", "bold")))
    with session.stage("train"):
        trained = train_layers(session, stored_layers(session, asked))
    session.console.detail(line(Span("3 of 3  interpret", "bold")))
    with session.stage("interpret"):
        interpreted = interpret_layers(session, layers_to_interpret(session, asked))
    document = {
        "extract": extracted.document,
        "train": trained.document,
        "interpret": interpreted.document,
    }
    blocks: list[Line | Table] = [*trained.blocks, *interpreted.blocks]
    return replace(interpreted, document=document, blocks=blocks)


def _lines(outcome: Outcome) -> list[Line]:
    return [block for block in outcome.blocks if not isinstance(block, Table)]
