"""Which features fire: where h exceeds a threshold, which is a feature's own or its row's.

B batch, F d_hidden; h (..., F) are pre-activations. Thresholds broadcast against h: (F,) where each
feature has one, (..., 1) where each row has one. They are not negative, so that what fires is
positive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

Values = TypeVar("Values", Tensor, "NDArray[Any]")


def fires(h: Values, thresholds: Values) -> Values:
    """Where h exceeds its threshold, bool and shaped like h."""
    return h > thresholds


def activations(h: Tensor, thresholds: Tensor) -> Tensor:
    """The activations, in the memory of h: h where it fires, else 0; a NaN stays one."""
    return h.masked_fill_(h <= thresholds, 0.0)


def row_thresholds(h: Tensor, k: int) -> Tensor:
    """What the `k` largest of each row exceed, (..., 1): the next one after them, or 0.

    Entries that tie with the next one do not fire, so that a row never has more than `k`.
    """
    return after_largest(largest(h, k), k)


def largest(h: Tensor, k: int) -> Tensor:
    """The k + 1 largest of each row in any order, or all of fewer, (..., n)."""
    return h.topk(min(k + 1, h.shape[-1]), dim=-1, sorted=False).values


def after_largest(values: Tensor, k: int) -> Tensor:
    """The smallest of k + 1 values of each row, and not below 0; 0 where there are fewer."""
    if values.shape[-1] <= k:
        return values.new_zeros((*values.shape[:-1], 1))
    return values.amin(dim=-1, keepdim=True).clamp(min=0.0)
