"""DAC-ADC boards of both dialects over real serial lines, at models written after the firmware's manual and source."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar, Unpack

import numpy as np
import pytest

from pnnlab.devices import Clock, RealClock, Trigger
from pnnlab.errors import DeviceError, SetpointError
from pnnlab.testing import ADCConformance, DACConformance, DeviceArguments, Lines, SerialInstrument
from pnnlab_drivers.arduino.dac_adc import DacAdcBoard, DacAdcBoardOptions

VOLTS, MILLIVOLTS, OLD_MILLIVOLTS = "DAC-ADC_AD7734-AD5791", "FASTDAC_UNIT-FOLK2_1.0", "DAC-ADC_AD7734-AD5764_UNIT2"
FRAMING = Lines(b"\r", b"\r\n")


class Board:
    """Converters whose inputs are its outputs through a circuit, and the texts of one dialect.

    Args:
        identity: What it says of itself; it decides all else.
    """

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.in_millivolts = "AD5764" in identity or "FASTDAC" in identity
        self.acknowledges = "FASTDAC" in identity
        self.outputs = np.zeros(8)
        self.stuck = False
        self.bits = 20 if "AD5791" in identity else 16

    def __call__(self, message: bytes) -> bytes | None:
        operation, *rest = message.decode("ascii").split(",")
        answer = self._answer(operation, rest)
        known = answer not in ("NOP", "SYNTAX_ERROR", "RANGE_ERROR")
        return (b"ACK\r\n" if self.acknowledges and known else b"") + answer.encode()

    def _answer(self, operation: str, rest: list[str]) -> str:
        if operation == "*IDN?":
            return self.identity
        if operation == "*RDY?":
            return "READY"
        if operation == "GET_DAC":
            return self._told(self.outputs[int(rest[0])])
        if operation == "GET_ADC":
            return self._told(self.inputs_v()[int(rest[0])])
        if operation == "SET" and not self.in_millivolts:
            return f"DAC {rest[0]} UPDATED TO {self._put(int(rest[0]), float(rest[1])):.6f}V"
        if operation == "RAMP_SMART" and self.in_millivolts:
            if abs(float(rest[1])) > 10_000:
                return "RANGE_ERROR"
            self._put(int(rest[0]), float(rest[1]) / 1e3)
            return "RAMP_FINISHED"
        return "NOP"

    def _put(self, channel: int, volts: float) -> float:
        lsb = 20 / 2**self.bits
        if not self.stuck:
            self.outputs[channel] = np.clip(round(volts / lsb), -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) * lsb
        return float(self.outputs[channel])

    def inputs_v(self) -> np.ndarray:
        """Return the voltages at the inputs: each output through a soft limit."""
        return 5 * np.tanh(self.outputs[:4] / 5)

    def _told(self, volts: float) -> str:
        return f"{1e3 * volts:.4f}" if self.in_millivolts else f"{volts:.7f}"


def options(server: SerialInstrument, **more: object) -> DacAdcBoardOptions:
    settings: dict[str, object] = {"resource": server.address, "quick_s": 0.5, "operation_s": 0.5}
    return DacAdcBoardOptions.model_validate(settings | more)


@contextmanager
def board(identity: str, **more: object) -> Iterator[tuple[DacAdcBoard, Board, SerialInstrument]]:
    model = Board(identity)
    with (
        SerialInstrument(model, framing=FRAMING) as server,
        DacAdcBoard("board", options(server, **more), clock=RealClock()) as device,
    ):
        yield device, model, server


class Peer:
    """One board for all tests of a suite."""

    identity: ClassVar[str]
    silence_s = 4.0
    patience_s = 20.0
    account_error: ClassVar = {"voltage": 5e-4}

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def wire(cls) -> Iterator[None]:
        cls.model = Board(cls.identity)
        with SerialInstrument(cls.model, framing=FRAMING) as cls.server:
            yield

    def clock(self) -> Clock:
        return RealClock()

    def make(self, **arguments: Unpack[DeviceArguments]) -> DacAdcBoard:
        chosen = {"outputs": (0, 1), "inputs": (0, 1), "quick_s": 0.2, "reading_s": 0.02}
        return DacAdcBoard("board", options(self.server, **chosen), **arguments)

    def silent(self, device: DacAdcBoard) -> AbstractContextManager[object]:
        return self.server.misbehaving(silent=True)

    def unplugged(self, device: DacAdcBoard) -> AbstractContextManager[object]:
        return self.server.unplugged()

    @contextmanager
    def gullible(self, device: DacAdcBoard) -> Iterator[None]:
        self.model.stuck = True
        yield
        self.model.stuck = False

    def instrument_has(self, device: DacAdcBoard, quantity: str) -> np.ndarray:
        return self.model.outputs[:2]


class TestVoltOutputs(Peer, DACConformance[DacAdcBoard]):
    identity = VOLTS
    peer = "a model of the firmware in volts at a serial port"


class TestMillivoltOutputs(Peer, DACConformance[DacAdcBoard]):
    identity = MILLIVOLTS
    peer = "a model of the FastDAC at a serial port"


class TestInputs(Peer, ADCConformance[DacAdcBoard]):
    identity = MILLIVOLTS
    peer = "a model of the FastDAC at a serial port"
    n_samples = 2


@pytest.mark.parametrize("identity", [VOLTS, MILLIVOLTS, OLD_MILLIVOLTS])
def test_the_same_voltage_whatever_the_board_counts_in(identity: str) -> None:
    with board(identity) as (device, model, server):
        device.write(np.array([1.5, -2.25, 0.0, 9.0]))
        np.testing.assert_allclose(model.outputs[:4], [1.5, -2.25, 0.0, 9.0], atol=20 / 2**model.bits)
        device.arm_records(1, n_samples=3, rate_hz=20.0, trigger=Trigger.SOFTWARE)
        device.start()
        device.trigger()
        volts = device.read(1, timeout_s=2.0).volts
        device.disarm()
        np.testing.assert_allclose(volts, np.broadcast_to(model.inputs_v(), (1, 3, 4)), atol=1e-6)
        said = b"SET,0,1.4999" if identity == VOLTS else b"RAMP_SMART,0,1499.9"  # the nearest codes to 1.5 V
        assert any(message.startswith(said) for message in server.heard)
    np.testing.assert_allclose(model.outputs[:4], 0, atol=1e-9)


@pytest.mark.parametrize("identity", ["Arduino Uno", "DAC-ADC_AD7734-AD5764", "DAC-ADC_AD7734", "NOP", "FASTDAC"])
def test_an_unknown_identity_is_refused_and_nothing_is_set(identity: str) -> None:
    model = Board(identity)
    with SerialInstrument(model, framing=FRAMING) as server:
        device = DacAdcBoard("board", options(server), clock=RealClock())
        with pytest.raises(DeviceError, match=r"volts or in millivolts is not known|does not know"):
            device.open()
        device.close()
        assert not any(message.startswith((b"SET", b"RAMP")) for message in server.heard)


def test_more_than_ten_volts_is_refused_before_anything_is_sent() -> None:
    with board(VOLTS) as (device, _, server):
        server.heard.clear()
        with pytest.raises(SetpointError, match="nothing was sent"):
            device.write(np.array([10.5, 0, 0, 0]))
        assert not server.heard


def test_an_output_that_does_not_move_is_a_fault() -> None:
    with pytest.raises(DeviceError, match=r"output 0 was set to 2 V and is at 0 V"), board(VOLTS) as (device, model, _):
        model.stuck = True
        device.write(np.array([2.0, 0, 0, 0]))


def test_steps_of_the_converters_are_told() -> None:
    for identity, bits in ((VOLTS, 20), ("DAC-ADC_AD7734-AD5780", 18), (MILLIVOLTS, 16)):
        with board(identity) as (device, _, _):
            assert device.settings()["output_lsb_v"] == pytest.approx(20 / 2**bits)
            setpoint = device.write(np.full(4, math.pi))
            assert abs(setpoint.realised[0] - math.pi) <= 10 / 2**bits
