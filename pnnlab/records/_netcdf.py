"""A record as a netCDF file that any tool opens.

Attributes of the file carry the metadata (`devices`, `conditions`, `reasons` and `data_attributes` as JSON), each
value is a scalar variable with its unit beside a scalar `<name>_uncertainty`, and the raw curves stand as they are.
"""

import io
import json
from collections.abc import Hashable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import numpy as np
import xarray

from pnnlab.errors import RecordError
from pnnlab.records._record import CalibrationRecord, Verdict, uncertainty_name
from pnnlab.records._value import Value

__all__ = ["UnreadableRecordError", "read_record", "write_record"]

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
T = TypeVar("T")

_SCHEMA: Final = 1
_PACKED_FROM_BYTES: Final = 4096
"""Smaller arrays become larger by packing: it stores them in chunks."""


class UnreadableRecordError(RecordError):
    """A file holds no record that may be used.

    Attributes:
        found: What is wrong with it.
        allowed: What to do.
    """

    def __init__(self, where: str, found: str, allowed: str) -> None:
        self.found = found
        self.allowed = allowed
        super().__init__(f"{where} {found}; {allowed}")


def write_record(path: Path, record: CalibrationRecord) -> None:
    """Write a record into a new file, and read it back: what does not come back as it was given is refused.

    Raises:
        RecordError: The file does not say what the record says.
        OSError: The file cannot be written.
    """
    scalars: dict[str, xarray.Variable] = {}
    for name, value in record.values.items():
        beside = uncertainty_name(name)
        # the climate conventions' (CF 1.11, section 3.4) way to say which variable holds the uncertainty of which
        attributes = {"units": value.unit, "ancillary_variables": beside}
        explained = {"units": value.unit, "long_name": f"standard uncertainty (k = 1) of {name}"}
        scalars[name] = xarray.Variable((), value.value, attributes)
        scalars[beside] = xarray.Variable((), value.uncertainty, explained)
    content = record.data.assign(scalars)
    content.attrs = _attributes(record)
    content.to_netcdf(path, engine="h5netcdf", encoding={name: _packing(content, name) for name in content.variables})
    if read_record(path).id != record.id:
        raise RecordError(f"{record.kind} of {record.subject} reads back changed from its file; nothing was stored")


def read_record(path: Path) -> CalibrationRecord:
    """Return the record in a file.

    Raises:
        UnreadableRecordError: The file is damaged, foreign, of a newer pnnlab, or was edited.
    """
    try:
        # the bytes, not the path: HDF5 locks the files that it opens, which fails on network drives and read-only media
        content = io.BytesIO(path.read_bytes())
        with xarray.open_dataset(
            content, engine="h5netcdf", mask_and_scale=False, decode_times=False, decode_timedelta=False
        ) as opened:
            data = opened.load()
    except Exception as error:  # the reader of any format meets torn and foreign files, and each raises in its own way
        raise UnreadableRecordError(path.name, f"does not read ({_brief(error)})", "put a copy of it there") from error
    schema = data.attrs.get("pnnlab_record")
    if not isinstance(schema, int | np.integer):
        raise UnreadableRecordError(path.name, "is no calibration record of pnnlab", "move it elsewhere")
    if schema > _SCHEMA:
        found = f"has schema {schema}, this pnnlab reads up to {_SCHEMA}"
        raise UnreadableRecordError(path.name, found, "upgrade pnnlab")
    edited = "put a copy of the original there, or calibrate again"
    try:
        record, noted = _record(data), _text(data.attrs["id"])
    except (RecordError, KeyError, ValueError, TypeError) as error:
        raise UnreadableRecordError(path.name, f"was edited or damaged ({_brief(error)})", edited) from error
    if record.id != noted:
        found = f"was edited or damaged: its id is {noted}, its content has {record.id}"
        raise UnreadableRecordError(path.name, found, edited)
    return record


def _attributes(record: CalibrationRecord) -> dict[str, str | int]:
    return {
        "pnnlab_record": _SCHEMA,
        "title": f"{record.kind} of {record.subject}, {record.verdict}",
        "id": record.id,
        "kind": record.kind,
        "subject": record.subject,
        "created": record.created.isoformat(timespec="microseconds"),
        "verdict": str(record.verdict),
        "reasons": _json(list(record.reasons)),
        "devices": _json({role: dict(identity) for role, identity in record.devices.items()}),
        "conditions": _json(dict(record.conditions)),
        "values": _json(list(record.values)),
        "data_attributes": _json({str(name): value for name, value in record.data.attrs.items()}),
        "supersedes": record.supersedes or "",
        "pnnlab_version": record.pnnlab_version,
    }


def _record(content: xarray.Dataset) -> CalibrationRecord:
    """Return what an opened file says; whatever is missing in it raises `KeyError`, `ValueError` or `TypeError`."""
    attributes = {str(name): value for name, value in content.attrs.items()}
    names = [_text(name) for name in _decoded(attributes["values"], list)]
    values = {name: _value(content[name], content[uncertainty_name(name)]) for name in names}
    data = content.drop_vars([*names, *map(uncertainty_name, names)])
    data.attrs = _decoded(attributes["data_attributes"], dict)
    return CalibrationRecord(
        kind=_text(attributes["kind"]),
        subject=_text(attributes["subject"]),
        devices=_decoded(attributes["devices"], dict),
        conditions=_decoded(attributes["conditions"], dict),
        created=datetime.fromisoformat(_text(attributes["created"])),
        values=values,
        verdict=Verdict(_text(attributes["verdict"])),
        reasons=tuple(map(_text, _decoded(attributes["reasons"], list))),
        data=data,
        supersedes=_text(attributes["supersedes"]) or None,
        pnnlab_version=_text(attributes["pnnlab_version"]),
    )


def _value(number: xarray.DataArray, uncertainty: xarray.DataArray) -> Value:
    unit = _text(number.attrs["units"])
    if uncertainty.attrs["units"] != unit:
        raise ValueError(f"{number.name} is in {unit}, its uncertainty in {uncertainty.attrs['units']}")
    return Value(number.item(), uncertainty.item(), unit)


def _packing(content: xarray.Dataset, name: Hashable) -> dict[str, bool | int | None]:
    # without a fill value: the climate conventions would have one, and readers would turn it into NaN
    packing: dict[str, bool | int | None] = {"_FillValue": None}
    if content[name].nbytes >= _PACKED_FROM_BYTES:
        packing |= {"zlib": True, "complevel": 1, "shuffle": True}
    return packing


def _json(value: Json) -> str:
    # lone surrogates, which an undecodable file name leaves in a text, are no UTF-8; escaped they are legal JSON
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace").decode()


def _decoded(text: object, wanted: type[T]) -> T:
    value = json.loads(_text(text))
    if not isinstance(value, wanted):
        raise TypeError(f"{value!r} is no {wanted.__name__}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _brief(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
