"""Between numpy, which stores rows, and torch, which makes and uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    import torch

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The little-endian numpy dtype of a Zarr data type name."""
    return BFLOAT16 if name == "bfloat16" else np.dtype(name).newbyteorder("<")


def to_torch(array: Array) -> torch.Tensor:
    """A tensor that shares the array's memory; `array` must be writable and contiguous."""
    import torch

    if array.dtype == BFLOAT16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_numpy(values: torch.Tensor | Array, dtype: np.dtype[Any]) -> Array:
    """The values of a tensor or an array as a numpy array, rounded to `dtype`.

    A value too large for `dtype` becomes infinite; the caller looks for those.
    """
    if isinstance(values, np.ndarray):
        with np.errstate(over="ignore", invalid="ignore"):
            return values.astype(dtype, copy=False)
    import torch

    tensor = values.detach().to(device="cpu", dtype=getattr(torch, dtype.name))
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(BFLOAT16)
    return tensor.numpy()
