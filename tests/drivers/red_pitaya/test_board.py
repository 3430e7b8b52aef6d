"""A Red Pitaya over a real socket, at a model of the board whose outputs are wired to its inputs."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar, Unpack

import numpy as np
import pytest

from pnnlab.devices import SimulatedClock, Trigger
from pnnlab.errors import AbilityError, DeviceError, SetpointError
from pnnlab.systems import DacAdc, Facilities
from pnnlab.testing import ADCConformance, DACConformance, DeviceArguments, TcpInstrument
from pnnlab.transports import Timeouts
from pnnlab_drivers.red_pitaya.board import RedPitaya, RedPitayaOptions
from tests.drivers.red_pitaya.board_model import BoardModel
from tests.drivers.scpi.model import ScpiFraming

FRAMING = ScpiFraming(b"\r\n")


class Wired:
    """A model at the end of a socket, for all tests of a class."""

    peer = "a model of the board behind a socket"
    silence_s = 10.0

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def wire(cls) -> Iterator[None]:
        cls.model = BoardModel()
        with TcpInstrument(cls.model, framing=FRAMING) as cls.server:
            yield

    def make(self, **arguments: Unpack[DeviceArguments]) -> RedPitaya:
        self.model.now_s = arguments["clock"].now_s
        options = RedPitayaOptions(
            resource=self.server.address, quick_s=2.5, operation_s=5.0, bulk_s=5.0, record_trigger="external"
        )
        return RedPitaya("board", options, **arguments)

    @contextmanager
    def silent(self, device: RedPitaya) -> Iterator[None]:
        if device._transport is not None:
            device._transport.timeouts = Timeouts(0.2, 0.3, 0.3)
        with self.server.misbehaving(silent=True):
            yield

    def unplugged(self, device: RedPitaya) -> AbstractContextManager[object]:
        return self.server.unplugged()


class TestRedPitayaDac(Wired, DACConformance[RedPitaya]):
    stamp_error_s = 1e-7
    account_error: ClassVar = {"voltage": 2e-4}

    @contextmanager
    def gullible(self, device: RedPitaya) -> Iterator[None]:
        self.model.gullible = True
        yield
        self.model.gullible = False

    def instrument_has(self, device: RedPitaya, quantity: str) -> np.ndarray:
        return self.model.terminals_v()


class TestRedPitayaAdc(Wired, ADCConformance[RedPitaya]):
    def pulse(self, device: RedPitaya) -> None:
        self.model.pulse()


@contextmanager
def board(model: BoardModel, clock: SimulatedClock, **options: object) -> Iterator[tuple[RedPitaya, TcpInstrument]]:
    """Give an open board at a model."""
    model.now_s = clock.now_s
    with (
        TcpInstrument(model, framing=FRAMING) as server,
        RedPitaya("board", RedPitayaOptions(resource=server.address, **options), clock=clock) as device,
    ):
        server.heard.clear()
        yield device, server


def test_outputs_that_are_live_at_boot_are_told_and_left_alone() -> None:
    model, clock = BoardModel(), SimulatedClock()
    with board(model, clock) as (device, server):
        assert all(out.on for out in model.outputs)
        np.testing.assert_array_equal(device.present_v, 0.0)  # the offset of a sine that goes on by itself
        server.heard.clear()
        device.write(np.array([0.5, -0.25]))
        assert server.heard[0].startswith(b"OUTPUT1:STATE OFF;")
        np.testing.assert_allclose(model.terminals_v(), [0.5, -0.25])
        server.heard.clear()
        device.write(np.array([0.75, 0.0]))
        assert server.heard == [
            b"SOUR1:VOLT:OFFS 0.750000000;:SOUR2:VOLT:OFFS 0.000000000;:SOUR1:VOLT:OFFS?;:SOUR2:VOLT:OFFS?;:SYST:ERR?"
        ]
    np.testing.assert_array_equal(model.terminals_v(), 0.0)


def test_what_would_be_clipped_in_silence_is_refused() -> None:
    with board(BoardModel(), SimulatedClock()) as (device, server):
        for call in (
            lambda: device.write(np.array([0.0, 1.001])),
            lambda: device.arm_waveform(np.full((4, 2), -1.5), rate_hz=125e6, trigger=Trigger.SOFTWARE),
        ):
            with pytest.raises(SetpointError):
                call()
        assert not server.heard


@pytest.mark.parametrize("rate_hz", [125e6, 62.5e6, 15.625e6])
def test_a_waveform_is_recorded_by_the_inputs_sample_by_sample(rate_hz: float) -> None:
    model, clock = BoardModel(), SimulatedClock()
    volts = np.random.default_rng(7).uniform(-1, 1, (200, 2))
    with board(model, clock) as (device, _):
        device.write(np.array([0.5, -0.5]))
        device.arm_records(1, n_samples=250, rate_hz=rate_hz, trigger=Trigger.HARDWARE)
        setpoint = device.arm_waveform(volts, rate_hz=rate_hz, trigger=Trigger.INTERNAL)
        np.testing.assert_allclose(model.terminals_v(), [0.5, -0.5], atol=1e-6)
        device.start()
        records = device.read(1, timeout_s=5.0)
        device.disarm()
        clock.sleep_until(clock.now_s() + 1.0)
        due = np.concatenate([setpoint.realised, np.repeat(setpoint.realised[-1:], 50, axis=0)])
        np.testing.assert_allclose(records.volts[0], due, atol=2e-6)
        np.testing.assert_allclose(device.present_v, due[-1], atol=1e-5)


def test_a_batch_of_shots_goes_through_one_waveform_and_one_filling_of_the_buffer() -> None:
    model, clock = BoardModel(), SimulatedClock()
    with board(model, clock) as (device, _):
        config = DacAdc.Config.model_validate({
            "dac": "board", "adc": "board", "rate_hz": 31.25e6, "precision": "float64",
            "encoder": {
                "input_channels": [0], "control_channels": [1], "steps": 4, "hold": 3, "rest": 2, "amplitude_v": 0.5,
                "control_amplitude_v": 0.8,
            },
            "decoder": {"windows": 4, "full_scale_v": 1.0},
        })  # fmt: skip
        system = DacAdc("loop", config, {"dac": device, "adc": device}, Facilities(clock))
        x = np.random.default_rng(3).uniform(-1, 1, (20, 4))
        theta = np.array([0.0, 0.25, 0.5, 1.0])
        y = system.measure(x, theta).y.reshape(20, 4, 2)
        # each output is wired to the input of its number
        np.testing.assert_allclose(y[..., 0], 0.5 * x, atol=0.5 / 8192 + 1e-6)
        np.testing.assert_allclose(y[..., 1], np.tile(0.8 * (2 * theta - 1), (20, 1)), atol=0.5 / 8192 + 1e-6)


def test_rates_that_the_board_does_not_make_are_refused() -> None:
    with board(BoardModel(), SimulatedClock()) as (device, server):
        with pytest.raises(AbilityError, match="the nearest rate is"):
            device.arm_records(1, n_samples=8, rate_hz=100e6, trigger=Trigger.INTERNAL)
        with pytest.raises(AbilityError, match="the nearest that the board"):
            device.arm_waveform(np.zeros((8, 2)), rate_hz=10e3, trigger=Trigger.INTERNAL)
        with pytest.raises(AbilityError, match="its buffer holds 16384"):
            device.arm_records(1, n_samples=16385, rate_hz=125e6, trigger=Trigger.INTERNAL)
        assert not server.heard


def test_another_instrument_is_refused() -> None:
    model = BoardModel()
    model._tree[0] = (model._tree[0][0], lambda: "ACME,SCOPE,1,1")
    with pytest.raises(DeviceError, match="boards of Red"), board(model, SimulatedClock()):
        pass
