"""An instrument of pymeasure: how it is named, opened, and asked for its properties."""

import importlib
import inspect
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from pnnlab.devices import DeviceOptions, Identity, SettingValue
from pnnlab.errors import DeviceError, GarbledError
from pnnlab.quantities import Seconds
from pnnlab.transports import parse_identity

if TYPE_CHECKING:
    from pymeasure.instruments import Instrument

__all__ = ["Property", "PymeasureInstrument", "PymeasureOptions"]

Property = str | bool | int | float
"""The value of a property, as pymeasure has it: in the unit that its documentation says."""


class PymeasureOptions(DeviceOptions):
    """What names an instrument of pymeasure.

    Attributes:
        instrument: Its class, as `pymeasure.instruments.keithley:Keithley2400`.
        resource: Its VISA resource name.
        backend: The VISA library.
        terminator: What ends messages and answers; left out, what VISA and the class of pymeasure take.
        timeout_s: How long to wait for an answer.
        prepare: Properties that are set once, before anything is put out or read, and their values; a property of a
            channel is written `ChA.source_mode`.
    """

    instrument: str = Field(pattern=r"^[\w.]+:\w+$")
    resource: str = Field(min_length=1)
    backend: str = "@py"
    terminator: str = ""
    timeout_s: Seconds = Field(default=2.0, gt=0)
    prepare: Mapping[str, Property] = Field(default_factory=dict)


class PymeasureInstrument:
    """An open instrument of pymeasure.

    Args:
        who: Name of the device, for messages.
        options: What names it.

    Raises:
        DeviceError: There is no such class, or it cannot be opened.
    """

    def __init__(self, who: str, options: PymeasureOptions) -> None:
        self._who = who
        self._prepared = not options.prepare
        self._options = options
        ends = {"read_termination": options.terminator, "write_termination": options.terminator}
        settings: dict[str, object] = dict(ends) if options.terminator else {}
        kind = _class(who, options.instrument)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # from pymeasure to the authors of its classes
            self._instrument = kind(
                options.resource, visa_library=options.backend, timeout=round(1e3 * options.timeout_s), **settings
            )

    def identity(self) -> Identity:
        """Return who it says it is; where it does not tell in the usual way, the class that speaks to it."""
        try:
            return parse_identity(str(self._instrument.ask("*IDN?")), who=self._who)
        except GarbledError:
            return Identity("", type(self._instrument).__name__, "")

    def settings(self) -> dict[str, SettingValue]:
        """Return who answers, and the prepared properties as they are."""
        who = self.identity()
        asked = {path.replace(".", "_").lower(): str(self.get(path)) for path in self._options.prepare}
        return {"instrument": self._options.instrument, "answers": f"{who.vendor} {who.model}", **asked}

    def prepare(self) -> None:
        """Set what the bench file wants set once, unless that was done."""
        if not self._prepared:
            self.set_all(self._options.prepare)
            self._prepared = True

    def set_all(self, properties: Mapping[str, Property]) -> None:
        """Set properties in their order."""
        for path, value in properties.items():
            self.set(path, value)

    def set(self, path: str, value: Property) -> None:
        """Set a property."""
        owner, name = self._owner(path)
        setattr(owner, name, value)

    def get(self, path: str) -> object:
        """Return a property's value."""
        owner, name = self._owner(path)
        return getattr(owner, name)

    def number(self, path: str) -> float:
        """Return a property's value as a number.

        Raises:
            DeviceError: It is none.
        """
        value = self.get(path)
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = float("nan")
        if not abs(number) < 9.9e37:  # SCPI's infinity; a comparison with NaN is false
            raise DeviceError(f"{self._who}: the property {path} is {value!r}, a number is due; look at the instrument")
        return number

    def check(self, *paths: str) -> None:
        """Refuse properties that the class does not have, before anything is sent for them.

        Raises:
            DeviceError: One is missing.
        """
        for path in paths:
            owner, name = self._owner(path)
            if not isinstance(inspect.getattr_static(owner, name, None), property):
                raise DeviceError(
                    f"{self._who}: {type(owner).__name__} of pymeasure has no property {name!r}; correct {path!r} in "
                    "the bench file"
                )

    def close(self) -> None:
        """Let it go."""
        self._instrument.adapter.close()

    def _owner(self, path: str) -> tuple[object, str]:
        *channels, name = path.split(".")
        owner: object = self._instrument
        for channel in channels:
            if not hasattr(owner, channel):
                raise DeviceError(f"{self._who}: {type(owner).__name__} of pymeasure has no channel {channel!r}")
            owner = getattr(owner, channel)
        return owner, name


def _class(who: str, target: str) -> "type[Instrument]":
    module, _, name = target.partition(":")
    try:
        found: type[Instrument] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DeviceError(
            f"{who}: pymeasure has no {target}: {error}; correct `instrument` in the bench file"
        ) from error
    return found
