"""The raw curves of a record: a data set that any tool reads back exactly as it was measured."""

from collections.abc import Hashable, Mapping
from typing import Final, TypeAlias

import numpy as np
import xarray

from pnnlab.errors import RecordError
from pnnlab.records._key import plain_conditions
from pnnlab.records._text import require_name
from pnnlab.records._unit import require_unit

__all__ = ["frozen_curves"]

Attribute: TypeAlias = str | int | float

_DTYPES: Final = frozenset(
    ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64"]
)
_TAKEN_ATTRIBUTES: Final = frozenset(
    [
        "_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "dtype", "coordinates", "calendar",
        "CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST",
    ]
)  # fmt: skip
"""Readers of netCDF act on these: numbers would come back changed, or the file would not open."""
_LARGEST_INTEGER: Final = 2**63


def frozen_curves(data: xarray.Dataset, who: str) -> xarray.Dataset:
    """Return a copy that nobody can write into, in memory's own byte order, without traces of other files.

    Args:
        data: Every variable and coordinate with a `units` attribute.
        who: Whose curves they are, for the messages.

    Raises:
        RecordError: Something in it would not come back from the file as it is.
    """
    if not isinstance(data, xarray.Dataset):
        raise RecordError(f"{who}: data is a {type(data).__name__}; give an xarray.Dataset")
    for dimension in data.dims:
        require_name(dimension, f"{who}: a dimension")
    variables = {name: _frozen(name, variable, data, who) for name, variable in data.variables.items()}
    return xarray.Dataset(
        {name: variable for name, variable in variables.items() if name not in data.coords},
        coords={name: variable for name, variable in variables.items() if name in data.coords},
        attrs=plain_conditions({str(name): value for name, value in data.attrs.items()}, f"{who}: data.attrs"),
    )


def _frozen(
    name: Hashable, variable: xarray.Variable, data: xarray.Dataset, who: str
) -> tuple[tuple[Hashable, ...], np.ndarray, dict[str, Attribute]]:
    where = f"{who}: the variable {require_name(name, f'{who}: a variable')}"
    if variable.dtype.newbyteorder("=").name not in _DTYPES:
        raise RecordError(
            f"{where} holds {variable.dtype}; allowed are booleans, integers, float32 and float64: number texts, "
            "split complex numbers, count times in seconds"
        )
    if len(set(variable.dims)) < len(variable.dims) or (name in data.dims and variable.dims != (name,)):
        raise RecordError(
            f"{where} has the dimensions {', '.join(map(str, variable.dims))}; "
            "each may stand once, and a variable named like one has that one only"
        )
    values = np.array(variable.values, dtype=variable.dtype.newbyteorder("="), order="C")
    values.flags.writeable = False
    return variable.dims, values, _attributes(variable.attrs, where)


def _attributes(attributes: Mapping[Hashable, Attribute], where: str) -> dict[str, Attribute]:
    if "units" not in attributes:
        raise RecordError(f"{where} has no attribute units; write its SI unit there, '1' for pure numbers")
    require_unit(str(attributes["units"]), where)
    plain: dict[str, Attribute] = {}
    for found, value in attributes.items():
        if found in _TAKEN_ATTRIBUTES:
            raise RecordError(f"{where} has the attribute {found}, on which readers act; remove it: data are kept raw")
        name = require_name(found, f"{where}: an attribute")
        plain[name] = _attribute(value.item() if isinstance(value, np.generic) else value, f"{where}: {name}")
    return plain


def _attribute(value: Attribute, where: str) -> Attribute:
    if isinstance(value, str) and "\0" not in value and not any("\ud800" <= sign <= "\udfff" for sign in value):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool) and -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise RecordError(f"{where} is {value!r}; allowed are a text, an integer of 64 bits and a float")
