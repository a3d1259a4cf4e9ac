"""Which features fire on one text, token by token.

T tokens of the text, F d_hidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ghosttrack_cli import files
from ghosttrack_cli.browser.prompt import PROMPT_FILE, PromptFeature, PromptLayer, PromptReport
from ghosttrack_cli.browser.writer import write_browser
from ghosttrack_cli.errors import UsageError
from ghosttrack_cli.interpretation import inputs
from ghosttrack_cli.interpretation.parts import PROMPT_PAGE
from ghosttrack_cli.monitor import SILENT
from ghosttrack_cli.report.report_files import write_record
from ghosttrack_cli.report.token_text import TokenTexts
from ghosttrack_cli.sae.checksums import reading
from ghosttrack_cli.text.tokens import Encoder
from ghosttrack_cli.text.usable_texts import encodable, is_replaced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.monitor import Monitor
    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.settings.schema import InterpretationSettings
    from ghosttrack_cli.site import AnySite
    from ghosttrack_cli.workspace import Workspace


def explain_prompt(
    text: str,
    layers: Sequence[AnySite],
    settings: InterpretationSettings,
    model: ResidualModel,
    workspace: Workspace,
) -> PromptReport:
    """The features of the trained SAEs of `layers` that fire on `text`.

    The beginning-of-text token comes first; nothing is said to fire on it.

    Raises:
        UsageError: no text, or more than the model's context.
        StateError: a layer without SAE, or one whose SAE is being replaced.
    """
    if is_replaced(text):
        raise UsageError("the text holds bytes that are not UTF-8", hint="pass it as UTF-8")
    text = encodable(text)
    ids = _token_ids(text, model)
    found = []
    with reading(workspace, layers, "ghosttrack interpret prompt"):
        streams = model.residuals(torch.from_numpy(ids)[None], layers)
        for layer, stream in streams.items():  # (1, T, D)
            kind = settings.checkpoint
            folder = workspace.sae(layer, kind)
            trained = inputs.load_trained(layer, folder, kind, None, model.device)
            inputs.check_fits(trained, model)
            found.append(PromptLayer(layer=layer, features=_firing(trained.sae, stream[0].float())))
    return PromptReport(
        model=model.identity.name,
        text=text,
        ids=ids.tolist(),
        texts=TokenTexts(model.tokenizer).row(ids.tolist(), range(len(ids))),
        layers=found,
    )


def _token_ids(text: str, model: ResidualModel) -> NDArray[np.int64]:
    """The tokens of a text after the beginning-of-text token, (T,)."""
    encoder = Encoder(model.tokenizer)
    ids = np.concatenate([[encoder.bos], *encoder.encode([text])])
    if len(ids) == 1:
        raise UsageError("the text is empty")
    if len(ids) > model.max_context:
        raise UsageError(
            f"the text is too long: {len(ids):,} tokens, the model takes {model.max_context:,}"
        )
    return ids


@torch.inference_mode()
def _firing(sae: SAE, x: Tensor) -> list[PromptFeature]:
    acts = sae.encode(x)  # (T, F)
    acts[0] = 0
    (features,) = acts.any(dim=0).nonzero(as_tuple=True)
    columns = acts[:, features].T.cpu().tolist()
    return [
        PromptFeature(feature=feature, acts=[float(f"{act:.6g}") for act in column])
        for feature, column in zip(features.tolist(), columns, strict=True)
    ]


def show_on_page(workspace: Workspace, report: PromptReport, monitor: Monitor = SILENT) -> None:
    """Keep the report where the page looks for it, and write the page.

    Raises:
        LockedError: `interpret` is at work here, which writes the page itself.
        DiskError, CorruptionError: it cannot be written.
    """
    lock = workspace.lock("interpret")
    with files.exclusive_lock(lock, purpose="ghosttrack interpret prompt"):
        files.make_folder(workspace.interpretations)
        write_record(workspace.interpretations / PROMPT_FILE, report)
        write_browser(workspace.interpretations, monitor, PROMPT_PAGE)
