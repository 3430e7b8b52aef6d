"""The heater drive over a real serial line, at a model of a Q8 module."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar, Unpack

import numpy as np
import pytest

from pnnlab.devices import Clock, RealClock
from pnnlab.errors import DeviceError
from pnnlab.testing import DACConformance, DeviceArguments, SerialInstrument
from pnnlab_drivers.qontrol.heater_drive import HeaterDrive, HeaterDriveOptions


class Q8Model:
    """What the vendor's library shows of a module: its texts, its errors, and heaters of 1 kohm at 24 mA at most."""

    def __init__(self) -> None:
        self.volts = np.zeros(8)
        self.heater_ohm, self.limit_a = 1000.0, 24e-3
        self.full_v = 12.0

    def __call__(self, message: bytes) -> bytes | None:
        facts = {"ID": "Q8iv-00A7", "NCHAN": "8", "VFULL": "+12.000000 V", "IFULL": "+24.000000 mA", "FIRMWARE": "1.4"}
        text = message.decode("ascii").upper()
        if text.removesuffix("?") in facts:
            return facts[text.removesuffix("?")].encode()
        match = re.fullmatch(r"V(\d+)(?:\?|=([+-]?[\d.]+))", text)
        if match is None:
            return b"E10:00"
        channel = int(match[1])
        if channel >= len(self.volts):
            return b"E12:%02d" % channel
        if match[2] is None:
            return b"%+.6f V" % min(self.volts[channel], self.limit_a * self.heater_ohm)
        if not 0 <= float(match[2]) <= self.full_v:
            return b"E14:%02d" % channel
        self.volts[channel] = float(match[2])
        return b"OK"


class TestHeaterDrive(DACConformance[HeaterDrive]):
    peer = "a model of a Q8iv module at a serial port"
    silence_s = 4.0
    account_error: ClassVar = {"voltage": 1e-5}

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def wire(cls) -> Iterator[None]:
        cls.model = Q8Model()
        with SerialInstrument(cls.model) as cls.server:
            yield

    def clock(self) -> Clock:
        return RealClock()

    def make(self, **arguments: Unpack[DeviceArguments]) -> HeaterDrive:
        options = HeaterDriveOptions(resource=self.server.address, quick_s=0.2, operation_s=0.5)
        return HeaterDrive("heaters", options, **arguments)

    def silent(self, device: HeaterDrive) -> AbstractContextManager[object]:
        return self.server.misbehaving(silent=True)

    def unplugged(self, device: HeaterDrive) -> AbstractContextManager[object]:
        return self.server.unplugged()

    @contextmanager
    def gullible(self, device: HeaterDrive) -> Iterator[None]:
        self.model.full_v, self.model.limit_a = 1e6, 6e-3
        yield
        self.model.full_v, self.model.limit_a = 12.0, 24e-3

    def instrument_has(self, device: HeaterDrive, quantity: str) -> np.ndarray:
        return np.minimum(self.model.volts, self.model.limit_a * self.model.heater_ohm)


@contextmanager
def drive(model: Q8Model) -> Iterator[HeaterDrive]:
    with SerialInstrument(model) as server:
        options = HeaterDriveOptions(resource=server.address, quick_s=0.5, operation_s=0.5)
        with HeaterDrive("heaters", options, clock=RealClock()) as device:
            yield device


def test_a_heater_at_its_current_limit_is_told_with_its_channel() -> None:
    model = Q8Model()
    with drive(model) as device:
        model.heater_ohm = 100.0
        with pytest.raises(DeviceError, match=r"channel 3 was set to 6 V and has 2.4 V: its heater may draw more"):
            device.write(np.array([1.0, 0, 0, 6, 0, 0, 0, 0]))
    np.testing.assert_array_equal(model.volts, np.zeros(8))


def test_an_error_of_the_drive_is_told_in_words() -> None:
    model = Q8Model()
    with drive(model) as device:
        model.full_v = 3.0
        with pytest.raises(DeviceError, match="a value out of range for channel 1"):
            device.write(np.array([1.0, 4, 0, 0, 0, 0, 0, 0]))


def test_another_instrument_is_refused_before_any_voltage() -> None:
    class Other(Q8Model):
        def __call__(self, message: bytes) -> bytes | None:
            return b"Keithley 2400" if message == b"ID?" else super().__call__(message)

    with pytest.raises(DeviceError, match="answered 'ID\\?', a module of the Q8 series was expected"), drive(Other()):
        pytest.fail("opened another instrument")


def test_opening_finds_what_the_drive_has_and_leaves_it() -> None:
    model = Q8Model()
    model.volts[2] = 5.0
    with drive(model) as device:
        assert device.present_v[2] == 5.0 == model.volts[2]
        assert (device.identity.model, device.identity.serial, device.n_outputs) == ("Q8iv", "00A7", 8)
