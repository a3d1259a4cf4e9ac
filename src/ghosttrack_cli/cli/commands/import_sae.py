"""`ghosttrack import`: an SAE of another program into the workspace."""

from typing import TYPE_CHECKING, Annotated

import typer

from ghosttrack_cli.cli.command import command
from ghosttrack_cli.cli.options import DryRun, Overwrite, Yes
from ghosttrack_cli.settings.flags import IMPORT, with_default

if TYPE_CHECKING:
    from ghosttrack_cli.cli.session import Session

Source = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="Folder or file, or hub:OWNER/NAME[/FOLDER][@REVISION]."),
]
Place = Annotated[
    str | None,
    typer.Option(
        "--site",
        "--layer",
        metavar="SITE",
        help=with_default("Layer or hook point: 6 or 6.mlp_out.", "what the SAE says"),
    ),
]
Texts = Annotated[
    str | None,
    typer.Option(
        "--texts",
        metavar="TEXT",
        help=with_default("Text for the check where there is no store.", "python-docs"),
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "import", flags=IMPORT, logged=True)(import_sae)


def import_sae(
    session: "Session",
    *,
    source: Source,
    site: Place = None,
    texts: Texts = None,
    dry_run: DryRun = False,
    overwrite: Overwrite = False,
    yes: Yes = False,
) -> None:
    """Import an SAE that another program trained.

    Read are folders of SAELens, Gemma Scope, Gemma Scope 2, sparsify, dictionary_learning and Qwen
    Scope. The SAE is tried on 2,000 tokens, of the store or through the model, and refused where
    it explains nothing: then the hook or layer is wrong. `interpret` shows it like any other.

        ghosttrack import hub:google/gemma-scope-2b-pt-res/layer_10/width_16k/average_l0_77
        ghosttrack import ~/saes/layers.10 --model EleutherAI/pythia-160m
    """
    from ghosttrack_cli.cli.actions import import_sae as action

    action.import_sae(
        session, source, site, texts=texts, dry_run=dry_run, overwrite=overwrite, yes=yes
    )
