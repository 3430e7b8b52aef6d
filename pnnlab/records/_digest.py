"""The fingerprint of a record's content."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import xarray

__all__ = ["ID_LENGTH", "Header", "content_id"]

Header: TypeAlias = "str | int | float | bool | Sequence[Header] | Mapping[str, Header] | None"

ID_LENGTH: Final = 16
"""64 bits: enough to notice every accident; it does not withstand a forger, who could write a new id as well."""


def content_id(header: Header, data: xarray.Dataset) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a record's content.

    Hashed are the header as JSON (ASCII, keys sorted, no spaces) and then, by name, each variable of the data: its
    name, whether it is a coordinate, dimensions, shape, type and attributes as JSON, and its bytes, little-endian in
    C order. So the id does not depend on how a file packs the numbers.

    Args:
        header: Everything but the data.
        data: The raw curves.
    """
    digest = hashlib.sha256(_text(header))
    for name in sorted(map(str, data.variables)):
        variable = data.variables[name]
        values = variable.values
        description: Header = {
            "name": name,
            "coordinate": name in data.coords,
            "dimensions": [str(dimension) for dimension in variable.dims],
            "shape": list(values.shape),
            "type": values.dtype.name,
            "attributes": {str(key): value for key, value in variable.attrs.items()},
        }
        digest.update(_text(description))
        digest.update(values.astype(values.dtype.newbyteorder("<"), order="C", copy=False).tobytes())
    return digest.hexdigest()[:ID_LENGTH]


def _text(content: Header) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")
