"""An import from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ghosttrack_cli import files
from ghosttrack_cli.cli.actions.outcome import Outcome, give
from ghosttrack_cli.cli.terminal.output import Line, Table, line
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.quantities import format_bytes, format_figure
from ghosttrack_cli.site import Site
from ghosttrack_cli.status.next_step import TEXTS, over_texts

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session
    from ghosttrack_cli.importing.stage import Candidate, ImportTask


def import_sae(
    session: Session,
    source: str,
    site: str | None,
    *,
    texts: str | None,
    dry_run: bool,
    overwrite: bool,
    yes: bool,
) -> None:
    """Read and check an SAE, and put it into the workspace."""
    asked = parse_site(site)
    with session.monitor() as monitor:
        from ghosttrack_cli.importing.stage import prepare, write

        candidate = prepare(task_of(session, source, asked, texts, overwrite=overwrite), monitor)
        for note in candidate.notes:
            monitor.notice(note)
    document = document_of(candidate)
    if dry_run:
        give(session, Outcome({"plan": document}, plan_blocks(candidate)))
        return
    if candidate.replaces:
        session.confirm_overwrite(f"the SAE of layer {candidate.site}", yes=yes)
    with session.monitor() as monitor:
        write(candidate, monitor)
        monitor.accepted()
    give(session, Outcome(document, blocks_of(candidate), (look_at(session, candidate),)))


def parse_site(text: str | None) -> Site | None:
    """The site that --site names.

    Raises:
        UsageError: no site.
    """
    try:
        return None if text is None else Site.parse(text.strip().lower())
    except ValueError as error:
        raise UsageError(f"--site: {error}", hint="--site 6 or --site 6.mlp_out") from error


def task_of(
    session: Session, source: str, site: Site | None, texts: str | None, *, overwrite: bool
) -> ImportTask:
    """What the stage is told; a model is at hand where somebody named one."""
    from ghosttrack_cli.importing.stage import ImportTask

    settings = session.settings
    named = "model.name" in session.resolved.origins
    return ImportTask(
        source=source,
        site=site,
        model=settings.model if named else None,
        corpus=settings.corpus.model_copy(update={"source": texts or TEXTS}),
        workspace=session.workspace,
        cache_dir=settings.paths.cache_dir,
        overwrite=overwrite,
    )


def document_of(candidate: Candidate) -> dict[str, Any]:
    """The import as JSON."""
    found = candidate.found
    return {
        "layer": candidate.site.json,
        "hook_name": candidate.site.hook_name,
        "source": candidate.task.source,
        "family": found.family,
        "architecture": found.sae.architecture,
        **found.sae.options(),
        "d_model": found.sae.d_model,
        "d_hidden": found.sae.d_hidden,
        **found.facts,
        "tokens": candidate.imported.tokens,
        "fvu": candidate.imported.fvu,
        "l0": candidate.imported.l0,
        "notes": list(candidate.notes),
        "folder": str(candidate.folder),
        "replaces": candidate.replaces and candidate.task.overwrite,
        "bytes_needed": candidate.bytes,
        "bytes_free": files.free_bytes(candidate.task.workspace.checkpoints),
    }


def blocks_of(candidate: Candidate) -> list[Line | Table]:
    """The import in words."""
    sae, fit = candidate.found.sae, candidate.fit
    model = candidate.found.model_name or "a model that is not recorded"
    blocks: list[Line | Table] = [
        line(
            f"layer {candidate.site}: {sae.architecture}, {sae.d_hidden:,} features of"
            f" {sae.d_model} numbers, {candidate.found.family}, of {model}"
        )
    ]
    if fit is not None:
        blocks.append(
            line(
                f"FVU {format_figure(fit.fvu)}, L0 {format_figure(fit.l0)} on {fit.tokens:,}"
                f" tokens at {candidate.site.hook_name}"
            )
        )
    blocks.append(line(str(candidate.folder)))
    return blocks


def plan_blocks(candidate: Candidate) -> list[Line | Table]:
    """The same for one that is not done."""
    free = files.free_bytes(candidate.task.workspace.checkpoints)
    return [
        *blocks_of(candidate),
        line(f"disk: {format_bytes(candidate.bytes)} needed, {format_bytes(free)} free"),
        *([line(f"replaces the SAE of layer {candidate.site}")] if candidate.replaces else []),
    ]


def look_at(session: Session, candidate: Candidate) -> str:
    """The command that interprets it: over the store, or over text where that has no rows."""
    from ghosttrack_cli.importing.rows import store_with

    stored = store_with(session.workspace, candidate.site) is not None
    model = candidate.imported.model
    return f"interpret --layers {candidate.site}" if stored else over_texts(candidate.site, model)
