"""What an SAE's weights say without any text: neighbours, logit lens, encoder against decoder.

F d_hidden, D d_model, V vocabulary, P neighbours or tokens shown. Products are made in chunks of
features: never F x F or F x V whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cosine_similarity, normalize

from ghosttrack_cli.errors import ModelError
from ghosttrack_cli.model.lens import UNKNOWN

if TYPE_CHECKING:
    from torch import Tensor

    from ghosttrack_cli.model.residual import ResidualModel
    from ghosttrack_cli.sae.protocol import SAE
    from ghosttrack_cli.site import Site

CHUNK_ELEMENTS = 1 << 24
NEIGHBOURS = 8
LOGITS = 10


@dataclass(frozen=True)
class Ranked:
    """For each feature the best `indices` (F, P), with their `values` (F, P)."""

    indices: Tensor
    values: Tensor


@torch.inference_mode()
def decoder_neighbours(W_dec: Tensor, count: int = NEIGHBOURS) -> Ranked:
    """The other features whose decoder directions have the largest cosine."""
    directions = normalize(W_dec.float(), dim=1)  # (F, D)
    count = min(count, len(directions) - 1)
    parts = []
    for rows in _chunks(len(directions), len(directions)):
        cosines = directions[rows] @ directions.T  # (n, F)
        own = torch.arange(rows.start, rows.stop, device=cosines.device)
        cosines[own - rows.start, own] = -torch.inf
        parts.append(cosines.topk(count, dim=1))
    return _joined(parts)


@torch.inference_mode()
def logit_lens(
    W_dec: Tensor, unembedding: Tensor, vocabulary: int, count: int = LOGITS
) -> tuple[Ranked, Ranked]:
    """The tokens that each unit decoder direction promotes and suppresses most.

    `unembedding` (V, D) has the final norm folded in. Logits are relative to their mean over the
    vocabulary, which no probability depends on, and up to the norm's factor, which depends on the
    text. Rows beyond the tokenizer's `vocabulary` are padding. nostalgebraist 2020, "interpreting
    GPT: the logit lens".
    """
    directions = normalize(W_dec.float(), dim=1)  # (F, D)
    W_U = unembedding[:vocabulary].to(directions.device).float()
    W_U = W_U - W_U.mean(dim=0)  # (V, D)
    count = min(count, len(W_U))
    most, least = [], []
    for rows in _chunks(len(directions), len(W_U)):
        logits = directions[rows] @ W_U.T  # (n, V)
        most.append(logits.topk(count, dim=1))
        least.append(logits.topk(count, dim=1, largest=False))
    return _joined(most), _joined(least)


def promoted_tokens(
    W_dec: Tensor, model: ResidualModel, site: Site
) -> tuple[Ranked, Ranked, str | None]:
    """What decoder directions promote and suppress in `model`, or nothing and why it is not known.

    Tokens are those that both the tokenizer and the model know. What stands in the residual stream,
    or is added to it, reaches the head by itself; what an MLP reads does not.
    """
    nothing = Ranked(torch.zeros(len(W_dec), 0, dtype=torch.int64), torch.zeros(len(W_dec), 0))
    if site.point == "mlp_in":
        return nothing, nothing, f"{UNKNOWN}: layer {site} is read by its MLP alone"
    try:
        _, unembedding = model.unembed()
    except ModelError as error:
        return nothing, nothing, error.what
    vocabulary = min(len(model.tokenizer), model.vocab_size)
    return *logit_lens(W_dec, unembedding, vocabulary), None


@torch.inference_mode()
def encoder_decoder_cosine(sae: SAE) -> Tensor:
    """The cosine between each feature's encoder and decoder direction, (F,)."""
    return cosine_similarity(sae.W_enc.T, sae.W_dec, dim=1).cpu()


def _chunks(rows: int, columns: int) -> list[slice]:
    size = max(1, CHUNK_ELEMENTS // columns)
    return [slice(start, min(rows, start + size)) for start in range(0, rows, size)]


def _joined(parts: list[torch.return_types.topk]) -> Ranked:
    return Ranked(
        torch.cat([part.indices for part in parts]).cpu(),
        torch.cat([part.values for part in parts]).cpu(),
    )
