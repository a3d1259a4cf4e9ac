"""The interpretation stage: one pass over rows for all asked layers, then a report for each."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ghosttrack_cli import files
from ghosttrack_cli.browser.page_files import is_sound
from ghosttrack_cli.browser.writer import write_browser
from ghosttrack_cli.errors import CorruptionError
from ghosttrack_cli.interpretation import inputs, parts
from ghosttrack_cli.interpretation.collect.answer_pairs import compare_answers
from ghosttrack_cli.interpretation.collect.collector import Collector, CollectorShape
from ghosttrack_cli.interpretation.collect.layer_pass import LayerPass
from ghosttrack_cli.interpretation.collect.row_batch import not_read
from ghosttrack_cli.interpretation.features import weight_directions
from ghosttrack_cli.interpretation.features.feature_reports import WeightFacts
from ghosttrack_cli.interpretation.features.layer_report import Finished, write_layer
from ghosttrack_cli.interpretation.features.loss_recovered import (
    PROBE_ROWS,
    Splice,
    measure_recovered,
)
from ghosttrack_cli.interpretation.jobs import Job, groups, load_job
from ghosttrack_cli.interpretation.old_layout import move_old_reports
from ghosttrack_cli.interpretation.read_rows import read_rows
from ghosttrack_cli.interpretation.sources.choose import HUB_TEXTS, open_source
from ghosttrack_cli.interpretation.state import PassState
from ghosttrack_cli.leftovers import clear_leftovers
from ghosttrack_cli.machine import signals
from ghosttrack_cli.model.residual import ResidualModel
from ghosttrack_cli.monitor import Monitor, Progress, by_layers
from ghosttrack_cli.report import report_files
from ghosttrack_cli.report.token_text import TokenTexts
from ghosttrack_cli.sae.checksums import reading
from ghosttrack_cli.site import Site, in_order
from ghosttrack_cli.store.format.commit_record import has_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ghosttrack_cli.interpretation.collect.row_batch import RowSource
    from ghosttrack_cli.interpretation.inputs import Trained
    from ghosttrack_cli.report.facts import Recovered, SourceFacts
    from ghosttrack_cli.report.schema import LayerSummary
    from ghosttrack_cli.settings.schema import InterpretationSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.stage_request import InterpretationRequest
    from ghosttrack_cli.workspace import Workspace


def interpret(
    layers: Sequence[AnySite], request: InterpretationRequest, monitor: Monitor
) -> list[LayerSummary]:
    """Interpret the trained SAEs of `layers`; those whose report is current are left as they are.

    Reports over other sources are left alone. To overwrite makes current reports too; each stands
    until the new one is whole.

    Raises:
        Stopped: a signal came; the state is saved, and the same call goes on.
        StateError: no SAE, no store, or another process at work.
        GhostTrackError: model, texts or files that cannot be used.
    """
    workspace = request.workspace
    with _locks(workspace, layers):
        clear_leftovers(workspace.interpretations, "*", monitor.notice)
        for layer in layers:
            clear_leftovers(workspace.interpretations / f"layer_{layer}", "*", monitor.notice)
        move_old_reports(workspace, monitor.notice)
        return open_stage(request, monitor).run(layers, again=request.overwrite)


@contextmanager
def _locks(workspace: Workspace, layers: Sequence[AnySite]) -> Iterator[None]:
    """Alone at the reports; store and SAEs, which are read, are not deleted meanwhile."""
    purpose = "ghosttrack interpret"
    with ExitStack() as stack:
        stack.enter_context(files.exclusive_lock(workspace.lock("interpret"), purpose=purpose))
        if has_store(workspace.store):
            readers = files.readers_lock(workspace.store)
            stack.enter_context(files.shared_lock(readers, purpose=purpose))
        stack.enter_context(reading(workspace, layers, purpose))
        yield


def open_stage(request: InterpretationRequest, monitor: Monitor) -> Stage:
    """Load the model and open the source of rows."""
    monitor.begin(parts.MODEL)
    notice = monitor.notice
    model = ResidualModel.load(request.model, cache_dir=request.cache_dir, notice=notice)
    monitor.begin(parts.TEXTS)
    source = open_source(request, model, notice)
    return Stage(model, source, request.settings, request.workspace, monitor)


class Stage:
    """A model, a source of rows and a workspace, wired for one run."""

    def __init__(
        self,
        model: ResidualModel,
        source: RowSource,
        settings: InterpretationSettings,
        workspace: Workspace,
        monitor: Monitor,
    ) -> None:
        self.model = model
        self.source = source
        self.settings = settings
        self.workspace = workspace
        self.monitor = monitor
        self.texts = TokenTexts(model.tokenizer)
        self._no_lens: dict[AnySite, str] = {}
        """Why it is not known what features of a layer promote."""

    @property
    def slug(self) -> str:
        """The name of the source: reports over other sources lie beside, and stay."""
        return self.source.facts.slug

    def run(self, layers: Sequence[AnySite], *, again: bool = False) -> list[LayerSummary]:
        """Interpret what is not current, or everything `again`; write the page; give summaries."""
        todo = self.todo(layers, again=again)
        self.monitor.accepted()
        together = list(groups(todo, self.settings))
        layers_of = [[job.layer for job in group] for group in together]
        for group, part in zip(together, by_layers(layers_of, parts.LAYERS), strict=True):
            self._interpret(group, self.monitor.within(part))
        unfinished = PassState(self.workspace, self.slug)
        self.monitor.begin(parts.PAGE)
        if todo or unfinished.exists() or not is_sound(self.workspace.interpretations):
            write_browser(self.workspace.interpretations, self.monitor, parts.PAGE)
        if unfinished.exists():
            unfinished.remove()
        summaries = [self._summary(layer) for layer in in_order(layers)]
        return [summary for summary in summaries if summary is not None]

    def _summary(self, layer: AnySite) -> LayerSummary | None:
        return report_files.read_summary(self.workspace, layer, self.slug)

    def todo(self, layers: Sequence[AnySite], *, again: bool = False) -> list[Job]:
        """The layers to interpret, with their SAEs: without `again`, those not current."""
        asked = in_order(layers)
        jobs = [
            load_job(layer, self.model, self.source, self.settings, self.workspace)
            for layer in self.monitor.counted(parts.SAES, asked, len(asked), "layers")
        ]
        return [job for job in jobs if again or not self._is_current(job)]

    def _is_current(self, job: Job) -> bool:
        folder = self.workspace.report(job.layer, self.slug)
        try:
            found = report_files.WholeReport(folder)
            if found.summary.fingerprint != job.fingerprint:
                return False
            found.check(self.workspace.interpretation(job.layer, self.slug))
        except FileNotFoundError:
            return False
        except CorruptionError as error:
            self.monitor.notice(f"{error.what}; rebuilding the report of layer {job.layer}")
            return False
        self.monitor.notice(f"layer {job.layer}: already interpreted, nothing to do")
        return True

    def _interpret(self, jobs: list[Job], monitor: Monitor) -> None:
        facts = {
            job.layer: self.weight_facts(job.trained)
            for job in monitor.counted(parts.WEIGHTS, jobs, len(jobs), "layers")
        }
        passes = [self.layer_pass(job, facts[job.layer]) for job in jobs]
        state = PassState(self.workspace, self.slug, {job.layer: job.fingerprint for job in jobs})
        monitor.begin(parts.ROWS)
        source = read_rows(self.source, passes, state, self.monitor)
        if source.kind != "store":  # whose extraction said it
            for sentence in not_read(source):
                self.monitor.notice(sentence)
        contrasts = compare_answers(self.source, passes, self.texts, source.rows, monitor)
        monitor.begin(parts.LOSSES)
        recovered = self._recovered(jobs, passes)
        reports = by_layers([[job.layer] for job in jobs], parts.REPORTS)
        for job, one, part in zip(jobs, passes, reports, strict=True):
            kept, everything = recovered[job.layer]
            finished = Finished(
                trained=job.trained,
                fingerprint=job.fingerprint,
                model=inputs.model_facts(self.model),
                source=source,
                layer_pass=one,
                contrast=contrasts[job.layer],
                facts=facts[job.layer],
                recovered=kept,
                recovered_all_rows=everything,
                notes=self._notes(source, job),
                settings=job.used,
            )
            write_layer(self.workspace, finished, self.texts, monitor.within(part))

    def weight_facts(self, trained: Trained) -> WeightFacts:
        """What the weights of an SAE say without any text."""
        sae = trained.sae
        promoted, suppressed, missing = weight_directions.promoted_tokens(
            sae.W_dec, self.model, Site.of(trained.layer)
        )
        if missing:
            if missing not in self._no_lens.values():
                self.monitor.notice(missing)
            self._no_lens[trained.layer] = missing
        return WeightFacts(
            neighbours=weight_directions.decoder_neighbours(sae.W_dec),
            promoted=promoted,
            suppressed=suppressed,
            encoder_decoder_cosine=weight_directions.encoder_decoder_cosine(sae).numpy(),
        )

    def layer_pass(self, job: Job, facts: WeightFacts) -> LayerPass:
        """An empty pass of one layer."""
        shape = CollectorShape(
            d_hidden=job.trained.sae.d_hidden,
            vocabulary=max(self.model.vocab_size, len(self.model.tokenizer)),
            kept=self.settings.top_examples,
            side=self.settings.context_tokens,
            seed=self.settings.seed,
        )
        collector = Collector(shape, facts.neighbours.indices.numpy())
        special = self.model.identity.special_token_ids
        return LayerPass(job.layer, job.trained.sae, collector, special, job.median_norm)

    def _recovered(
        self, jobs: list[Job], passes: list[LayerPass]
    ) -> dict[AnySite, tuple[Recovered | None, Recovered | None]]:
        """Splice each SAE into the model on the first PROBE_ROWS rows."""
        splices = [
            Splice(job.layer, one.sae, one.kept.mean_sum / max(1, one.kept.rows), job.median_norm)
            for job, one in zip(jobs, passes, strict=True)
        ]
        windows = list(self.source.probe(PROBE_ROWS))
        return measure_recovered(
            self.model, splices, windows, self._losses(len(splices) * sum(map(len, windows)))
        )

    def _losses(self, total: int) -> Callable[[int], None]:
        """Reports the tokens that were spliced, and stops between two SAEs."""
        done = 0

        def after(tokens: int) -> None:
            nonlocal done
            done += tokens
            self.monitor.progress(Progress(parts.LOSSES.name, done, total, "tokens"))
            signals.raise_if_stopped(self.monitor.stop_signal)

        return after

    def _notes(self, source: SourceFacts, job: Job) -> list[str]:
        notes = [f"Recovered loss is measured on the first {PROBE_ROWS:,} rows at most."]
        if no_lens := self._no_lens.get(job.layer):
            notes.append(f"{no_lens[0].upper()}{no_lens[1:]}.")
        notes += [f"{one[0].upper()}{one[1:]}." for one in not_read(source)]
        if job.median_norm is None:
            notes.append("No store gives the median norm of this layer: no outliers were masked.")
        if source.kind == "corpus" and source.texts == HUB_TEXTS and not self.settings.max_texts:
            notes.append(f"The first {HUB_TEXTS:,} texts were read; max_texts reads more.")
        if source.kind == "truthfulqa":
            notes.append("A question's rows are counted once, with its factual answer.")
            notes.append("Of several wrong answers to a question, the first is read.")
        return notes
