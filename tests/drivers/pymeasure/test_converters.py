"""Instruments of pymeasure in the roles of converters, over real sockets, at models of Keithley's 2400 and 2600."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar, Unpack

import numpy as np
import pytest

from pnnlab.devices import SimulatedClock, Trigger
from pnnlab.errors import DeviceError, SetpointError
from pnnlab.testing import ADCConformance, DACConformance, DeviceArguments, TcpInstrument
from pnnlab_drivers.pymeasure.adc import PymeasureAdc, PymeasureAdcOptions
from pnnlab_drivers.pymeasure.dac import PymeasureDac, PymeasureDacOptions
from tests.drivers.keithley.models import Source, SourceMeter2400, source_meter_2600
from tests.drivers.scpi.model import ScpiFraming

K2400 = {"instrument": "pymeasure.instruments.keithley:Keithley2400", "terminator": "\n", "timeout_s": 0.8}
K2600 = {"instrument": "pymeasure.instruments.keithley:Keithley2600", "terminator": "\n", "timeout_s": 0.8}
OUTPUT_2400 = {
    "prepare": {"source_mode": "voltage", "compliance_current": 1e-4},
    "outputs": [{"write": "source_voltage", "range": ["-10 V", "10 V"], "step": "0.1 mV"}],
    "enable": {"source_enabled": True}, "disable": {"source_enabled": False},
}  # fmt: skip


class Wired:
    """A model of a 2400 at the end of a socket, for all tests of a class."""

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def wire(cls) -> Iterator[None]:
        cls.model = SourceMeter2400()
        with TcpInstrument(cls.model, framing=ScpiFraming()) as cls.server:
            yield

    def silent(self, device: object) -> AbstractContextManager[object]:
        return self.server.misbehaving(silent=True)

    def unplugged(self, device: object) -> AbstractContextManager[object]:
        return self.server.unplugged()


class TestPymeasureDac(Wired, DACConformance[PymeasureDac]):
    peer = "pymeasure's Keithley2400 at a model of the instrument"
    account_error: ClassVar = {"voltage": 1e-4}

    def make(self, **arguments: Unpack[DeviceArguments]) -> PymeasureDac:
        options = PymeasureDacOptions.model_validate({**K2400, **OUTPUT_2400, "resource": self.server.address})
        return PymeasureDac("smu", options, **arguments)

    @contextmanager
    def gullible(self, device: PymeasureDac) -> Iterator[None]:
        self.model.gullible = True
        yield
        self.model.gullible = False

    def instrument_has(self, device: PymeasureDac, quantity: str) -> np.ndarray:
        return np.array([self.model.source.measured()[0]])


class TestPymeasureAdc(Wired, ADCConformance[PymeasureAdc]):
    peer = "pymeasure's Keithley2400 at a model of the instrument"
    stamp_error_s = 0.05

    def make(self, **arguments: Unpack[DeviceArguments]) -> PymeasureAdc:
        self.model.source.level, self.model.source.on = 1.0, True
        inputs = [{"read": "voltage"}, {"read": "current", "shunt_ohm": "1 kohm"}]
        options = PymeasureAdcOptions.model_validate(
            {
                **K2400,
                "resource": self.server.address,
                "range": ["-21 V", "21 V"],
                "inputs": inputs,
                "max_rate": "1 kHz",
            }
        )
        return PymeasureAdc("meter", options, **arguments)


def test_both_channels_of_a_2600_by_its_script_language() -> None:
    sources = {"smua": Source(lambda: 1e-6), "smub": Source(lambda: 2e-6)}
    outputs = [
        {"write": f"Ch{c}.source_voltage", "range": ["-5 V", "5 V"], "step": "10 uV", "safe": "0.5 V"} for c in "AB"
    ]
    on, off = ({f"Ch{c}.source_output": state for c in "AB"} for state in ("ON", "OFF"))
    with TcpInstrument(source_meter_2600(sources)) as server:
        options = PymeasureDacOptions.model_validate(
            {**K2600, "resource": server.address, "outputs": outputs, "enable": on, "disable": off}
        )
        with PymeasureDac("smu", options, clock=SimulatedClock()) as device:
            assert device.identity.model == "Model 2602B"
            assert not any(source.on for source in sources.values())
            np.testing.assert_array_equal(device.present_v, 0)
            assert device.write(np.array([1.23456789, -4.0])).realised.tolist() == [1.23457, -4.0]
            assert [source.measured()[0] for source in sources.values()] == [1.23457, -4.0]
            np.testing.assert_allclose(device.present_v, [1.23457, -4.0])
            device.make_safe()
            assert [(source.level, source.on) for source in sources.values()] == [(0.5, False), (0.5, False)]


def test_each_channel_keeps_its_own_range() -> None:
    outputs = [
        {"write": "ChA.source_voltage", "range": ["-5 V", "5 V"], "step": "1 mV"},
        {"write": "ChB.source_voltage", "range": ["0 V", "1 V"], "step": "1 mV"},
    ]
    sources = {"smua": Source(lambda: 1e-6), "smub": Source(lambda: 2e-6)}
    with TcpInstrument(source_meter_2600(sources)) as server:
        options = PymeasureDacOptions.model_validate({**K2600, "resource": server.address, "outputs": outputs})
        with PymeasureDac("smu", options, clock=SimulatedClock()) as device:
            server.heard.clear()
            with pytest.raises(SetpointError, match="on channel 1 is not allowed; allowed is 0 to 1 V"):
                device.write(np.array([5.0, 1.5]))
            assert not server.heard


def test_a_class_that_clips_in_silence_is_found_out() -> None:
    outputs = [{"write": "ChA.source_voltage", "range": ["-300 V", "300 V"], "step": "1 mV"}]
    with TcpInstrument(source_meter_2600({"smua": Source(lambda: 1e-9)})) as server:
        options = PymeasureDacOptions.model_validate({**K2600, "resource": server.address, "outputs": outputs})
        clipped = "was set to 250 V and says that it is 200 V"
        with pytest.raises(DeviceError, match=clipped), PymeasureDac("smu", options, clock=SimulatedClock()) as device:
            device.write(np.array([250.0]))


def test_currents_become_volts_by_their_shunt() -> None:
    model = SourceMeter2400(lambda: 2e-6)
    model.source.level, model.source.on = 3.0, True
    with TcpInstrument(model, framing=ScpiFraming()) as server:
        options = PymeasureAdcOptions.model_validate({
            **K2400, "resource": server.address, "range": ["-10 V", "10 V"],
            "inputs": [{"read": "voltage"}, {"read": "current", "shunt_ohm": "100 kohm"}],
        })  # fmt: skip
        with PymeasureAdc("meter", options, clock=SimulatedClock()) as device:
            device.arm_records(2, n_samples=3, rate_hz=5.0, trigger=Trigger.INTERNAL)
            device.start()
            records = device.read(2, timeout_s=5.0)
            np.testing.assert_allclose(records.volts, np.broadcast_to([3.0, 0.6], (2, 3, 2)))
            model._tree = [
                (p, (lambda: "+9.9E37,+9.9E37,0,0,0") if p.fullmatch("MEAS:VOLT?") else h) for p, h in model._tree
            ]
            device.disarm()
            device.arm_records(1, n_samples=1, rate_hz=5.0, trigger=Trigger.INTERNAL)
            device.start()
            with pytest.raises(DeviceError, match=r"the property voltage is 9\.9e"):
                device.read(1, timeout_s=5.0)


@pytest.mark.parametrize(("change", "says"), [
    ({"instrument": "pymeasure.instruments.keithley:Keithley9999"}, "pymeasure has no"),
    ({"outputs": [{"write": "no_such", "range": ["-1 V", "1 V"], "step": "1 mV"}]}, "has no property 'no_such'"),
    ({"outputs": [{"write": "ChZ.level", "range": ["-1 V", "1 V"], "step": "1 mV"}]}, "has no channel 'ChZ'"),
])  # fmt: skip
def test_wrong_declarations_are_told_at_opening(change: dict[str, object], says: str) -> None:
    with TcpInstrument(SourceMeter2400(), framing=ScpiFraming()) as server:
        options = PymeasureDacOptions.model_validate({**K2400, **OUTPUT_2400, "resource": server.address, **change})
        device = PymeasureDac("smu", options, clock=SimulatedClock())
        with pytest.raises(DeviceError, match=says):
            device.open()
