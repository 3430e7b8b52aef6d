"""A multichannel heater drive of Qontrol's Q8 series, as used for meshes of interferometers."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import DAC, DeviceOptions, Identity, Limits, SettingValue, Trigger
from pnnlab.errors import DeviceError
from pnnlab.quantities import Volts
from pnnlab.transports import LinkOptions, PlainMarker, Transport, open_transport, parse_integer

__all__ = ["HeaterDrive", "HeaterDriveOptions"]

VoltArray = npt.NDArray[np.floating]

_IDENTITY: Final = re.compile(r"(Q\w+)-([0-9a-fA-F]+)")
_ERROR: Final = re.compile(r"[A-Za-z]{1,3}(\d+):(\d+)")
_VALUE: Final = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(m?[VA])?")
_CODES: Final = 65535
"""A voltage is a sixteen-bit fraction of the full scale (binary protocol of the vendor's own library)."""
_MEANING: Final[Mapping[int, str]] = {
    0: "an unknown error", 1: "too much voltage on", 2: "too much current on", 3: "the power supply failed at",
    10: "an unknown command at", 12: "there is no", 14: "a value out of range for", 15: "a serial error at",
    16: "a command that came too slowly for", 90: "the module was powered up again, at",
}  # fmt: skip


class HeaterDriveOptions(LinkOptions):
    """The options of the driver `qontrol-drive`.

    Attributes:
        baud_rate: See `LinkOptions`.
        tolerance_v: By how much a measured voltage may differ from the one set; a channel whose heater draws more than
            its current limit falls short of it, and is told as a fault.
    """

    baud_rate: Literal[115200] = 115200
    tolerance_v: Volts = Field(default=0.1, gt=0)


class HeaterDrive(DAC):
    """Constant voltages on the channels of one module; its safe state is 0 V on all of them.

    Opening sets nothing. Every write is measured: the drive holds back a voltage at its current limit without a word.
    Phase goes with power, V²/R, and not with voltage: that is a matter of calibration.
    """

    Options: ClassVar[type[DeviceOptions]] = HeaterDriveOptions
    options: HeaterDriveOptions

    max_update_rate_hz: float = 100.0
    max_samples: int = 0
    waveform_triggers: frozenset[Trigger] = frozenset()

    _transport: Transport | None = None
    _n_outputs = 1
    _full_v = 0.0
    _full_a = 0.0
    _set_v: VoltArray | None = None
    """What was set since the device was opened; `None` as long as only the drive knows."""

    @property
    def n_outputs(self) -> int:
        """See `DAC.n_outputs`: as the module tells it."""
        return self._n_outputs

    @property
    def present_v(self) -> VoltArray:
        """See `DAC.present_v`: what was set; measured as long as nothing was."""
        return self._measured_v() if self._set_v is None else self._set_v.copy()

    # Hooks

    def _claims(self) -> Sequence[str]:
        return (self.options.resource,)

    def _open(self) -> None:
        self._set_v = None
        self._transport = open_transport(self.options, who=self.name)

    def _identify(self) -> Identity:
        told = self._line.query("ID?")
        found = _IDENTITY.fullmatch(told.strip())
        if found is None:
            raise DeviceError(
                f"{self.name}: {told[:60]!r} answered 'ID?', a module of the Q8 series was expected; correct "
                "`resource` in the bench file"
            )
        self._line.marker = PlainMarker("ID?", told.strip())
        self._n_outputs = parse_integer(self._line.query("NCHAN?").strip(), who=self.name, asked="NCHAN?")
        self._full_v, self._full_a = self._value("VFULL?", "V"), 1e-3 * self._value("IFULL?", "mA")
        return Identity("Qontrol", found[1], found[2], self._line.query("FIRMWARE?").strip())

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _make_safe(self) -> None:
        self._set_v = None
        for channel in range(self._n_outputs):
            self._set(channel, 0.0)

    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"voltage": Limits(0.0, self._full_v)}

    def _settings(self) -> dict[str, SettingValue]:
        return {
            "measured_v": self._measured_v().tolist(), "full_scale_v": self._full_v, "full_scale_a": self._full_a,
        }  # fmt: skip

    def _realise(self, volts: VoltArray) -> VoltArray:
        realised: VoltArray = np.rint(volts / self._full_v * _CODES) * (self._full_v / _CODES)
        return realised

    def _write(self, volts: VoltArray) -> None:
        for channel, value in enumerate(volts.tolist()):
            self._set(channel, value)
        measured = self._measured_v()
        wrong = np.flatnonzero(np.abs(measured - volts) > self.options.tolerance_v)
        if len(wrong):
            k = int(wrong[0])
            raise DeviceError(
                f"{self.name}: channel {k} was set to {volts[k]:.4g} V and has {measured[k]:.4g} V: its heater may "
                "draw more than its current limit, or is not connected; close the device and look at it"
            )
        self._set_v = volts.copy()

    @property
    def _line(self) -> Transport:
        if self._transport is None:
            raise DeviceError(f"{self.name}: its port is not open; close the device and open it again")
        return self._transport

    def _set(self, channel: int, volts: float) -> None:
        answer = self._line.query(f"V{channel}={volts:.6f}").strip()
        if answer != "OK":
            raise DeviceError(f"{self.name}: {_meaning(answer)}; look at the drive, close the device and open it again")

    def _measured_v(self) -> VoltArray:
        return np.array([self._value(f"V{channel}?", "V") for channel in range(self._n_outputs)])

    def _value(self, query: str, unit: str) -> float:
        """Ask for a number; its unit is checked where the module tells it."""
        answer = self._line.query(query).strip()
        match = _VALUE.fullmatch(answer)
        if match is None or match[2] not in (None, unit):
            raise DeviceError(
                f"{self.name}: {_meaning(answer)} in answer to {query!r}, a number in {unit} is due; look at the drive"
            )
        return float(match[1])


def _meaning(answer: str) -> str:
    """Return what an answer that is no "OK" means."""
    match = _ERROR.fullmatch(answer)
    if match is None:
        return f"the drive said {answer[:60]!r}"
    return f"the drive reports {_MEANING.get(int(match[1]), 'error ' + match[1] + ' of')} channel {int(match[2])}"
