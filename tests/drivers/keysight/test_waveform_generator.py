"""The generator over a real socket, at a model of the instrument."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar, Unpack

import numpy as np
import pytest

from pnnlab.devices import Clock, Limits, RealClock, SimulatedClock, Trigger
from pnnlab.errors import AbilityError, DeviceError, InstrumentError, SetpointError
from pnnlab.testing import DACConformance, DeviceArguments, TcpInstrument
from pnnlab.transports import Timeouts
from pnnlab_drivers.keysight.waveform_generator import WaveformGenerator, WaveformGeneratorOptions
from tests.drivers.keysight.generator_model import GeneratorModel
from tests.drivers.scpi.model import ScpiFraming


class TestWaveformGenerator(DACConformance[WaveformGenerator]):
    peer = "a model of the 33522B behind a socket"
    silence_s = 10.0
    account_error: ClassVar = {"voltage": 5e-3}

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def wire(cls) -> Iterator[None]:
        cls.model = GeneratorModel()
        with TcpInstrument(cls.model, framing=ScpiFraming()) as cls.server:
            yield

    def make(self, **arguments: Unpack[DeviceArguments]) -> WaveformGenerator:
        self.model.now_s = arguments["clock"].now_s
        options = WaveformGeneratorOptions(
            resource=self.server.address, quick_s=2.5, operation_s=5.0, bulk_s=5.0, memory_samples=2000
        )
        return WaveformGenerator("dac", options, **arguments)

    @contextmanager
    def silent(self, device: WaveformGenerator) -> Iterator[None]:
        if device._transport is not None:
            device._transport.timeouts = Timeouts(0.2, 0.3, 0.3)
        with self.server.misbehaving(silent=True):
            yield

    def unplugged(self, device: WaveformGenerator) -> AbstractContextManager[object]:
        return self.server.unplugged()

    @contextmanager
    def gullible(self, device: WaveformGenerator) -> Iterator[None]:
        self.model.gullible = True
        yield
        self.model.gullible = False

    def instrument_has(self, device: WaveformGenerator, quantity: str) -> np.ndarray:
        return self.model.terminals_v()


@contextmanager
def generator(model: GeneratorModel, clock: Clock | None = None, limits: Limits | None = None, **options: object):
    """Give an open generator at a model."""
    clock = clock or SimulatedClock()
    model.now_s = clock.now_s
    with TcpInstrument(model, framing=ScpiFraming()) as server:
        settings = WaveformGeneratorOptions(resource=server.address, **options)
        with WaveformGenerator("dac", settings, clock=clock, limits={"voltage": limits} if limits else None) as device:
            server.heard.clear()
            yield device, server


@pytest.mark.parametrize(("load", "set_to", "fits"), [
    (None, np.inf, True), (50.0, 50.0, True), (None, 50.0, False), (50.0, np.inf, False), (75.0, 50.0, False),
])  # fmt: skip
def test_the_load_is_checked_before_any_voltage(load: float | None, set_to: float, fits: bool) -> None:
    model = GeneratorModel(load=set_to)
    if fits:
        with generator(model, load_ohm=load):
            pass
        return
    with pytest.raises(DeviceError, match="set to a load of"), generator(model, load_ohm=load):
        pytest.fail("opened with a wrong load")


def test_a_load_of_50_ohm_gets_the_voltage_that_was_asked_for() -> None:
    model = GeneratorModel(load=50.0)
    with generator(model, load_ohm=50.0) as (device, _):
        assert device.limits("voltage").high == 5.0
        device.write(np.array([2.0, -5.0]))
        np.testing.assert_allclose(model.terminals_v() / 2, [2.0, -5.0], atol=1e-9)  # half of it is at the load
        with pytest.raises(SetpointError, match="nothing was sent"):
            device.write(np.array([5.1, 0.0]))


def test_a_load_that_somebody_changes_is_noticed() -> None:
    model = GeneratorModel()
    with pytest.raises(DeviceError, match="load"), generator(model) as (device, _):
        device.write(np.array([1.0, 1.0]))
        model(b"OUTP2:LOAD 50")
        device.write(np.array([2.0, 2.0]))


def test_running_outputs_are_written_by_one_message() -> None:
    with generator(GeneratorModel()) as (device, server):
        device.write(np.array([0.5, 0.5]))
        server.heard.clear()
        device.write(np.array([0.25, -1.5]))
        writes = [message for message in server.heard if b"OFFS -" in message]
        assert len(writes) == 1
        assert writes[0].startswith(b"SOUR1:VOLT:OFFS 0.25;:SOUR2:VOLT:OFFS -1.5;:SOUR1:VOLT:OFFS?")
        assert writes[0].endswith(b";:SYST:ERR?")


def test_what_the_instrument_limits_by_itself_is_a_fault() -> None:
    model = GeneratorModel()
    model._levels = lambda number, amplitude, offset: setattr(model._ch(number), "offset", min(offset, 1.0))
    with (
        pytest.raises(DeviceError, match=r"channel 2 was set to 3 V and says that it is at 1 V"),
        generator(model) as (device, _),
    ):
        device.write(np.array([0.5, 3.0]))
    np.testing.assert_array_equal(model.terminals_v(), 0)


def test_errors_of_the_instrument_reach_the_user() -> None:
    model = GeneratorModel()

    def refuse(number: int, level: str) -> None:
        raise ValueError("no")

    with pytest.raises(InstrumentError, match="-104"), generator(model) as (device, _):
        model._tree = [(p, refuse if p.fullmatch("SOUR1:VOLT:OFFS") else h) for p, h in model._tree]
        device.write(np.array([0.5, 3.0]))


@pytest.mark.parametrize("trigger", [Trigger.INTERNAL, Trigger.SOFTWARE])
def test_a_waveform_is_at_the_terminals_sample_by_sample(trigger: Trigger) -> None:
    model, clock = GeneratorModel(), SimulatedClock()
    rate_hz = 1e6
    volts = np.stack([np.linspace(-4, 4, 50), 2 * np.sin(np.arange(50))], axis=1)
    with generator(model, clock, peak_v=5.0) as (device, _):
        device.write(np.array([1.0, -1.0]))
        setpoint = device.arm_waveform(volts, rate_hz=rate_hz, trigger=trigger)
        np.testing.assert_allclose(setpoint.realised, volts, atol=5.0 / 32767 / 2 * 1.001)
        np.testing.assert_allclose(model.terminals_v(), [1.0, -1.0], atol=1e-4)
        device.start()
        if trigger is Trigger.SOFTWARE:
            np.testing.assert_allclose(model.terminals_v(), [1.0, -1.0], atol=1e-4)
            device.trigger()
        begin_s = clock.now_s()
        for k in (0, 1, 17, 49):
            clock.sleep_until(begin_s + (k + 0.5) / rate_hz)
            np.testing.assert_allclose(model.terminals_v(), setpoint.realised[k], atol=1e-9)
        device.wait(1.0)
        device.disarm()
        np.testing.assert_allclose(model.terminals_v(), setpoint.realised[-1], atol=1e-9)
        np.testing.assert_allclose(device.present_v, setpoint.realised[-1], atol=1e-9)
        device.write(np.array([0.5, 0.25]))
        np.testing.assert_allclose(model.terminals_v(), [0.5, 0.25], atol=1e-9)


def test_a_waveform_that_was_never_started_leaves_outputs_off() -> None:
    model = GeneratorModel()
    with generator(model) as (device, _):
        device.arm_waveform(np.ones((10, 2)), rate_hz=1e6, trigger=Trigger.SOFTWARE)
        np.testing.assert_array_equal(model.terminals_v(), 0)
        device.disarm()
        np.testing.assert_array_equal(model.terminals_v(), 0)


def test_waveforms_beyond_the_chosen_peak_are_refused() -> None:
    with generator(GeneratorModel(), peak_v=1.0) as (device, server):
        with pytest.raises(AbilityError, match="`peak` in the bench file is 1 V"):
            device.arm_waveform(np.full((10, 2), 1.5), rate_hz=1e6, trigger=Trigger.SOFTWARE)
        assert not server.heard


def test_another_instrument_is_refused() -> None:
    model = GeneratorModel()
    model._tree[0] = (model._tree[0][0], lambda: "KEITHLEY INSTRUMENTS INC.,MODEL 2400,1,C30")
    with pytest.raises(DeviceError, match="MODEL 2400 answered"), generator(model):
        pass


def test_the_second_channel_of_a_single_one_is_refused() -> None:
    model = GeneratorModel()
    model._tree[0] = (model._tree[0][0], lambda: "Agilent Technologies,33521B,MY1,1")
    with pytest.raises(DeviceError, match="has one output"), generator(model):
        pass


def test_it_works_in_real_time() -> None:
    with generator(GeneratorModel(), RealClock(), latency_s=(0.0, 0.001)) as (device, _):
        device.arm_waveform(np.ones((100, 2)), rate_hz=1e4, trigger=Trigger.INTERNAL)
        device.start()
        device.wait(1.0)
        device.disarm()
