"""Extraction from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.cli.actions.outcome import Outcome, give
from ghosttrack_cli.cli.terminal.output import Line, Span, line
from ghosttrack_cli.errors import GhostTrackError, UsageError
from ghosttrack_cli.quantities import counted, format_bytes, format_seconds
from ghosttrack_cli.site import format_layers, named_layers

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.extraction.checks import Checked
    from ghosttrack_cli.extraction.plan import ExtractionPlan, Replaced
    from ghosttrack_cli.extraction.task import ExtractionResult
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.text.documents import Corpus
    from ghosttrack_cli.text.first_look import FirstLook


def extract(session: Session, *, dry_run: bool, overwrite: bool, repair: bool, yes: bool) -> None:
    """Plan the extraction, do it, or make bad chunks of the store again."""
    if repair and overwrite:
        raise UsageError("--repair and --overwrite cannot be used together", hint="use one of them")
    if dry_run:
        give(session, look_ahead(session, timed=True, overwrite=overwrite).outcome())
        return
    if repair:
        give(session, run_repair(session))
        return
    if overwrite:
        confirm_store(session, yes=yes)
    give(session, run_extraction(session, overwrite=overwrite))


def confirm_store(session: Session, *, yes: bool) -> None:
    """Ask before a store is replaced."""
    from ghosttrack_cli.extraction.plan import replaced_store

    replaced = replaced_store(session.workspace)
    if replaced is not None:
        session.confirm_overwrite(f"{session.workspace.store} ({in_words(replaced)})", yes=yes)


def in_words(replaced: Replaced) -> str:
    """What an overwrite deletes."""
    if not replaced.layers:
        return format_bytes(replaced.bytes)
    return (
        f"{replaced.rows:,} rows of {named_layers(replaced.layers)}, {format_bytes(replaced.bytes)}"
    )


def run_extraction(session: Session, *, overwrite: bool) -> Outcome:
    """Extract what the settings ask for."""
    request = session.request(session.settings.extraction, overwrite=overwrite)
    with session.monitor("extract", stage="extract") as monitor:
        from ghosttrack_cli.extraction.stage import extract as run

        result = run(request, monitor)
    return _extracted(session, result)


def run_checked(session: Session, checked: Checked) -> Outcome:
    """Extract what was planned and checked before."""
    with session.monitor("extract", stage="extract") as monitor:
        from ghosttrack_cli.extraction.stage import execute

        result = execute(checked, monitor)
    return _extracted(session, result)


def _extracted(session: Session, result: ExtractionResult) -> Outcome:
    few = _held_out(session, result.documents)
    documents = "" if result.documents is None else f" of {counted(result.documents, 'document')}"
    words = (
        f"{result.rows:,} tokens{documents}, {named_layers(result.layers)}"
        f" ({format_bytes(result.bytes)}) are in {result.store}"
    )
    return Outcome(vars(result) | {"held_out": few}, [line(words)], ("train",))


def _held_out(session: Session, documents: int | None) -> dict[str, Any] | None:
    """What training will hold out, which is said where there are few documents."""
    if documents is None:
        return None
    from ghosttrack_cli.store.read.reader import ActivationStore
    from ghosttrack_cli.training.plan.conditions import held_out

    store = ActivationStore.open(session.workspace.store)
    few = held_out(store, session.settings.sae_training)
    if few is not None and session.command == "extract":  # in a run training says it at once
        session.console.notice(few["words"])
    return few


def run_repair(session: Session) -> Outcome:
    """Read the store back and make what is bad again."""
    request = session.request(session.settings.extraction)
    with session.monitor("repair") as monitor:
        from ghosttrack_cli.extraction.repair import repair

        result = repair(request, monitor)
    lines = [line(f"rebuilt: {chunk}") for chunk in result.repaired]
    words = line(f"{counted(len(result.repaired), 'bad chunk')}; every chunk is valid now")
    return Outcome({"repaired": [str(one) for one in result.repaired]}, [*lines, words])


@dataclass(frozen=True)
class ExtractionOutlook:
    """What an extraction is going to do, how it will end if it is refused, and its seconds.

    `text` is what was seen of local text that is read from its beginning.
    """

    planned: ExtractionPlan
    refusal: GhostTrackError | None
    seconds: float | None
    checked: Checked | None
    """What a run executes; None if it is refused."""
    text: FirstLook | None = None

    def outcome(self) -> Outcome:
        """The plan as it is shown."""
        text = None if self.text is None else self.text.counts()
        plan = {
            **self.planned.to_json(),
            "most_tokens": _most_tokens(self.planned, self.text),
            "seconds": self.seconds,
            "text": text,
        }
        document = {"plan": plan}
        lines = _plan_lines(self.planned, self.seconds, self.text)
        return Outcome(document, lines, refusal=self.refusal)


def look_ahead(session: Session, *, timed: bool, overwrite: bool = False) -> ExtractionOutlook:
    """Plan an extraction and check all that it would refuse; `timed` tries the model, too."""
    request = session.request(session.settings.extraction, overwrite=overwrite)
    with session.monitor("plan") as monitor:
        from ghosttrack_cli.extraction.checks import check
        from ghosttrack_cli.extraction.plan import plan
        from ghosttrack_cli.extraction.timing import seconds

        planned = plan(request)
        refusal, taken, text, checked = None, None, None, None
        try:
            checked = check(request, planned, monitor.notice, compare=True)
            if timed and checked.texts is not None and planned.action == "start":
                text = _first_look(checked.texts, monitor)
            taken = seconds(planned, monitor) if timed else None
        except GhostTrackError as error:
            refusal = error
    return ExtractionOutlook(planned, refusal, taken, checked, text)


def _first_look(corpus: Corpus, monitor: Monitor) -> FirstLook | None:
    """Say what of the text will not be read, and if it is little, as far as that is known."""
    from ghosttrack_cli.training.plan.conditions import few_documents

    seen = corpus.check()
    for sentence in corpus.notices():
        monitor.notice(sentence)
    if seen is not None and seen.whole:
        few = few_documents(seen.documents)
        for sentence in [*seen.left_out.sentences(corpus.min_characters), *([few] if few else [])]:
            monitor.notice(sentence)
    return seen


def _time(planned: ExtractionPlan, seconds: float | None) -> str:
    if seconds is not None:
        return f"about {format_seconds(seconds)} on this machine, from one pass of the model"
    if planned.action == "nothing":
        return "none"
    absent = planned.model.download_bytes
    return (
        f"not measured: {format_bytes(absent)} of the model are not downloaded yet"
        if absent
        else "-"
    )


def _most_tokens(planned: ExtractionPlan, text: FirstLook | None) -> int | None:
    """How many tokens there are at most, if that is less than what was asked for."""
    most = None if text is None else text.most_tokens(planned.context_length)
    return most if most is not None and most < planned.rows else None


def _plan_lines(
    planned: ExtractionPlan, seconds: float | None, text: FirstLook | None
) -> list[Line]:
    model = planned.model
    most = _most_tokens(planned, text)
    batch = "automatic" if planned.batch_size is None else f"{planned.batch_size} windows"
    facts = {
        "action": planned.action,
        "model": f"{model.name}, {model.n_layers} layers, d_model {model.d_model}",
        "computes in": f"{planned.model_dtype} on {planned.device}",
        "corpus": planned.corpus + ("" if text is None else f", {text.in_words()}"),
        "layers": format_layers(planned.layers),
        "tokens": f"{planned.rows:,} per layer, {planned.rows_done:,} of them already stored"
        + ("" if most is None else f"; the text has at most about {most:,}"),
        "windows": f"{planned.context_length} tokens; batch: {batch}",
        "stores": planned.dtype,
        "disk": f"{format_bytes(planned.bytes_needed)} needed,"
        f" {format_bytes(planned.bytes_free)} free",
        "time": _time(planned, seconds),
    }
    if planned.replaces is not None:
        facts["deletes"] = f"{in_words(planned.replaces)}, once the new store has its first rows"
    return [line(Span(f"{name:12}", "bold"), fact) for name, fact in facts.items()]
