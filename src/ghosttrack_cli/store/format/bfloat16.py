"""bfloat16 for zarr-python, which knows the name of no such data type yet.

The package's entry points lead here, so that zarr-python opens a bfloat16 store wherever GhostTrack
is installed; importing this module does the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import ml_dtypes
import numpy as np
from zarr.core.dtype.common import DataTypeValidationError, HasEndianness, HasItemSize
from zarr.dtype import ZDType, data_type_registry

_NATIVE: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True, kw_only=True)
class BFloat16(ZDType[Any, Any], HasEndianness, HasItemSize):
    """The registered Zarr data type "bfloat16", as `ml_dtypes.bfloat16`."""

    dtype_cls = type(_NATIVE)
    _zarr_v3_name: ClassVar[str] = "bfloat16"

    @classmethod
    def from_native_dtype(cls, dtype: np.dtype[Any]) -> Self:
        """The data type of a numpy dtype, if it is bfloat16."""
        if dtype != _NATIVE:
            raise DataTypeValidationError(f"not bfloat16: {dtype}")
        return cls()

    def to_native_dtype(self) -> np.dtype[Any]:
        """`ml_dtypes.bfloat16`; it has one byte order, that of the machine."""
        return _NATIVE

    @classmethod
    def _from_json_v2(cls, data: Any) -> Self:
        raise DataTypeValidationError(f"Zarr 2 has no bfloat16: {data!r}")

    @classmethod
    def _from_json_v3(cls, data: Any) -> Self:
        if data != cls._zarr_v3_name:
            raise DataTypeValidationError(f"not bfloat16: {data!r}")
        return cls()

    def to_json(self, zarr_format: Any) -> Any:
        """The name of the data type in Zarr 3."""
        if zarr_format != 3:
            raise ValueError("Zarr 2 has no bfloat16")
        return self._zarr_v3_name

    def _check_scalar(self, data: object) -> bool:
        return isinstance(data, (int, float, np.number, ml_dtypes.bfloat16))

    def cast_scalar(self, data: object) -> Any:
        """A number as `ml_dtypes.bfloat16`."""
        if not self._check_scalar(data):
            raise TypeError(f"not a number: {data!r}")
        return _NATIVE.type(data)

    def default_scalar(self) -> Any:
        """Zero."""
        return _NATIVE.type(0)

    def from_json_scalar(self, data: Any, *, zarr_format: Any) -> Any:
        """A fill value: a number, "NaN", "Infinity", "-Infinity", or its bytes as "0x7fc0"."""
        del zarr_format
        if isinstance(data, str) and data.startswith("0x"):
            return np.uint16(int(data, 16)).view(_NATIVE)
        return _NATIVE.type(float(data))

    def to_json_scalar(self, data: object, *, zarr_format: Any) -> Any:
        """The fill value as Zarr 3 writes numbers that JSON does not know."""
        del zarr_format
        value = float(self.cast_scalar(data))
        if np.isfinite(value):
            return value
        return "NaN" if np.isnan(value) else ("Infinity" if value > 0 else "-Infinity")

    @property
    def item_size(self) -> int:
        """Two bytes."""
        return 2


data_type_registry.register("bfloat16", BFloat16)
