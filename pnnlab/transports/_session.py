"""Calls of a device, recorded together with the traffic that they make."""

import base64
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar, cast

import numpy as np
import numpy.typing as npt

from pnnlab.devices import Device, RealClock
from pnnlab.errors import PnnlabError
from pnnlab.transports._open import LinkOptions
from pnnlab.transports._traffic import Traffic

__all__ = ["literal", "plain", "recorded_session", "unpacked"]

D = TypeVar("D", bound=Device)

_INLINE: Final = 64
"""Numbers of an array that are written out."""
_TIMES: Final = frozenset({"time_s", "start_s"})
"""What is another one each time."""


@contextmanager
def recorded_session(driver: type[D], name: str, options: LinkOptions, file: str | Path) -> Iterator[D]:
    """Give a closed device of which every call is written into a file, with its result and its traffic.

    `python -m pnnlab.transports test FILE` makes a test of it, in which the recorded instrument stands for the real
    one.

    Args:
        driver: The device's class.
        name: The device's name.
        options: Its options; they become part of the test.
        file: A file of traffic; it is made anew.
    """
    Path(file).unlink(missing_ok=True)
    calls = Traffic(file, options.resource)
    changed = options.model_dump(exclude={"resource", "traffic"}, exclude_defaults=True)
    calls.tell({"driver": f"{driver.__module__}:{driver.__qualname__}", "name": name, "options": literal(changed)})
    device = driver(name, options.model_copy(update={"traffic": str(file)}), clock=RealClock())
    try:
        yield cast(D, _Journal(device, calls))
    finally:
        device.close()
        calls.close()


class _Journal:
    """Stands before a device and writes down its calls."""

    def __init__(self, device: Device, calls: Traffic) -> None:
        self._device, self._calls = device, calls

    def __getattr__(self, name: str) -> object:
        found = getattr(self._device, name)
        if not callable(found):
            self._calls.tell({"call": name, "returned": literal(plain(found))})
            return found
        return self._recorded(name, cast(Callable[..., object], found))

    def _recorded(self, name: str, method: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **keywords: object) -> object:
            given = [*map(literal, arguments), *(f"{key}={literal(value)}" for key, value in keywords.items())]
            text = f"{name}({', '.join(given)})"
            # before its traffic, so that the file can be read from top to bottom
            self._calls.tell({"calling": text})
            try:
                result = method(*arguments, **keywords)
            except PnnlabError as error:
                self._calls.tell({"call": text, "raised": type(error).__name__})
                raise
            self._calls.tell({"call": text, "returned": "self" if result is self._device else literal(plain(result))})
            return self if result is self._device else result

        return call


def plain(value: object) -> object:
    """Return what a call gave as plain values that can be compared and written: the times at which it was are left out.

    Long arrays become their type, shape and digest.
    """
    if isinstance(value, np.ndarray):
        if value.size <= _INLINE:
            return value.tolist()
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"dtype": value.dtype.str, "shape": list(value.shape), "sha256": digest}
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.name not in _TIMES]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    return repr(value)


def literal(value: object) -> str:
    """Return the Python text of an argument or a plain result."""
    if isinstance(value, np.ndarray):
        kind = value.dtype.str
        if value.size <= _INLINE:
            return f'np.array({value.tolist()!r}, "{kind}")'
        coded = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode("ascii")
        return f'unpacked("{kind}", {value.shape!r}, "{coded}")'
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, float) and not np.isfinite(value):
        return f'float("{float(value)!r}")'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(key)}: {literal(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(f"{literal(entry)}, " for entry in value) + ")"
    return repr(value.item() if isinstance(value, np.generic) else value)


def unpacked(dtype: str, shape: tuple[int, ...], coded: str) -> npt.NDArray[np.number]:
    """Return the array that a long argument was recorded of."""
    array: npt.NDArray[np.number] = np.frombuffer(base64.b64decode(coded), dtype).reshape(shape)
    return array
