"""The crossbar of a switch matrix and a source-measure unit over real sockets, at models of the instruments."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import ClassVar, Unpack

import numpy as np
import pytest
from pydantic import ValidationError

from pnnlab.devices import SimulatedClock
from pnnlab.errors import AbilityError, AcquisitionError, DeviceError, SetpointError
from pnnlab.testing import Check, CrossbarArrayConformance, DeviceArguments, TcpInstrument, shows
from pnnlab_drivers.smu_crossbar.crossbar import SmuCrossbar, SmuCrossbarOptions
from tests.drivers.scpi.model import ScpiFraming
from tests.drivers.smu_crossbar.models import Cells, ScpiMatrixModel, ScpiSmuModel, TspMatrixModel, TspSmuModel

NAMES = {
    "tsp": (["1A01", "1A02", "1A03"], ["1B11", "1B12"], ["1C01", "1C02", "1C03"]),
    "scpi": (["1101", "1102", "1103"], ["1211", "1212"], ["1301", "1302", "1303"]),
}
WRITE = {
    "set_v": (0.6, 2.0), "reset_v": (-0.6, -2.0), "step_v": 0.05, "pulse_s": 1e-3, "compliance_a": 5e-3,
    "tolerance": 0.05, "pulses": 200,
}  # fmt: skip


class Rack:
    """Both instruments at one array, each behind a socket."""

    def __init__(self, language: str, stack: ExitStack) -> None:
        rows, columns, grounds = NAMES[language]
        self.cells = Cells(rows, columns)
        points = [*rows, *columns, *grounds]
        self.matrix = (TspMatrixModel if language == "tsp" else ScpiMatrixModel)(self.cells, points)
        self.smu = (TspSmuModel if language == "tsp" else ScpiSmuModel)(self.cells)
        self.matrix_server, self.smu_server = (
            stack.enter_context(TcpInstrument(model, framing=ScpiFraming())) for model in (self.matrix, self.smu)
        )
        self.language = language

    def options(self, **more: object) -> SmuCrossbarOptions:
        rows, columns, grounds = NAMES[self.language]
        link = {"language": self.language, "quick_s": 0.3, "operation_s": 0.5}
        settings = {
            "smu": {"resource": self.smu_server.address, **link},
            "matrix": {"resource": self.matrix_server.address, **link},
            "rows": rows, "columns": columns, "idle_rows": grounds, "window_siemens": (5e-6, 100e-6), "write": WRITE,
        }  # fmt: skip
        return SmuCrossbarOptions.model_validate(settings | more)


@contextmanager
def crossbar(language: str = "tsp", **options: object) -> Iterator[tuple[SmuCrossbar, Rack]]:
    with ExitStack() as stack:
        rack = Rack(language, stack)
        with SmuCrossbar("array", rack.options(**options), clock=SimulatedClock()) as device:
            yield device, rack


class TestSmuCrossbar(CrossbarArrayConformance[SmuCrossbar]):
    peer = "models of a 707B and a 2602B behind sockets"
    silence_s = 2.0
    dimensionless_settings: ClassVar = frozenset({"power_line_cycles", "missed_cells"})

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def wires(cls) -> Iterator[None]:
        with ExitStack() as stack:
            cls.rack = Rack("tsp", stack)
            yield

    def make(self, **arguments: Unpack[DeviceArguments]) -> SmuCrossbar:
        return SmuCrossbar("array", self.rack.options(), **arguments)

    def silent(self, device: SmuCrossbar) -> AbstractContextManager[object]:
        return self.rack.smu_server.misbehaving(silent=True)

    def unplugged(self, device: SmuCrossbar) -> AbstractContextManager[object]:
        return self.rack.smu_server.unplugged()

    def instrument_has(self, device: SmuCrossbar, quantity: str) -> np.ndarray:
        cells = self.rack.cells
        return cells.siemens if quantity == "conductance" else np.array([cells.level * cells.output])


@pytest.mark.parametrize("language", ["tsp", "scpi"])
def test_cells_are_written_to_tolerance_and_multiply(language: str) -> None:
    rng = np.random.default_rng(0)
    siemens = rng.uniform(10e-6, 80e-6, (3, 2))
    volts = rng.uniform(-0.2, 0.2, (4, 3))
    with crossbar(language) as (device, rack):
        assert device.identity.model.endswith("2602B" if language == "tsp" else "2400")
        device.program(siemens)
        np.testing.assert_allclose(rack.cells.siemens, siemens, rtol=0.05)
        np.testing.assert_allclose(device.read_conductance(), rack.cells.siemens, rtol=1e-5)
        before = rack.cells.siemens.copy()
        setpoint, amps = device.multiply(volts)
        np.testing.assert_allclose(amps, setpoint.realised @ rack.cells.siemens, rtol=1e-4, atol=1e-11)
        np.testing.assert_array_equal(rack.cells.siemens, before)  # reading moves no cell
        assert rack.cells.hot == 0 and not rack.cells.output
    assert not rack.cells.closed and not rack.cells.output


@pytest.mark.parametrize("language", ["tsp", "scpi"])
def test_cells_are_read_the_other_way_and_stepped_one_by_one(language: str) -> None:
    volts = np.random.default_rng(0).uniform(-0.2, 0.2, (4, 2))
    with crossbar(language) as (device, rack):
        device.program(np.full((3, 2), 40e-6))
        before = rack.cells.siemens.copy()
        setpoint, amps = device.multiply_transposed(volts)
        np.testing.assert_allclose(amps, setpoint.realised @ before.T, rtol=1e-4, atol=1e-11)
        np.testing.assert_array_equal(rack.cells.siemens, before)
        counts = np.array([[3, 0], [0, -2], [0, 0]])
        device.step(counts)
        np.testing.assert_array_equal(np.sign(rack.cells.siemens - before), np.sign(counts))
        np.testing.assert_array_equal(device.pulses_had, np.abs(counts))
        assert rack.cells.hot == 0 and not rack.cells.output
        with pytest.raises(AbilityError, match="cannot pulse all rows and columns at once"):
            device.update(np.ones((1, 3), int), np.ones((1, 2), int))


@pytest.mark.parametrize("language", ["tsp", "scpi"])
def test_a_worn_relay_is_noticed_before_any_voltage(language: str) -> None:
    with crossbar(language) as (device, rack):
        rack.cells.worn.add(NAMES[language][1][1])
        with pytest.raises(DeviceError, match=r"were asked for, closed are .*no voltage was put on"):
            device.multiply(np.full((1, 3), 0.1))
        assert not any(b"OUTPUT_ON" in heard or b"OUTP ON" in heard for heard in rack.smu_server.heard[-3:])


@pytest.mark.parametrize("language", ["tsp", "scpi"])
def test_a_shorted_cell_reaches_the_current_limit_and_is_named(language: str) -> None:
    with crossbar(language, compliance_a=15e-6) as (device, rack):
        rack.cells.siemens[2, 1] = 1e-4
        with pytest.raises(AcquisitionError, match=r"cell \(2, 1\): .*current limit was reached"):
            device.multiply(np.full((1, 3), 0.2))
        assert not rack.cells.output


def test_a_stuck_cell_is_told_or_allowed() -> None:
    few = {"write": {**WRITE, "pulses": 20}}
    with crossbar(**few) as (device, rack):
        rack.cells.stuck[1, 0] = True
        with pytest.raises(DeviceError, match=r"1 of 6 cells could not be written.*\(1, 0\) at 2e-05 S"):
            device.program(np.full((3, 2), 30e-6))
    with crossbar(write={**WRITE, "pulses": 20, "missed_cells": 1}) as (device, rack):
        rack.cells.stuck[1, 0] = True
        device.program(np.full((3, 2), 30e-6))
        assert device.settings()["missed_cells"] == 1


def test_what_could_switch_a_cell_is_refused_as_a_reading() -> None:
    with crossbar() as (device, rack):
        rack.smu_server.heard.clear()
        with pytest.raises(SetpointError, match="nothing was sent"):
            device.multiply(np.full((1, 3), 0.3))
        assert not rack.smu_server.heard


@shows(Check.ACCEPTED)
@pytest.mark.pnnlab_driver("smu-crossbar", peer="models of a 707B and a 2602B behind sockets")
def test_a_source_that_stays_where_it_was_is_noticed() -> None:
    with crossbar() as (device, rack):
        rack.smu._set_level = lambda volts: rack.cells.set_level(min(volts, 0.05))  # type: ignore[method-assign]
        with pytest.raises(DeviceError, match=r"was set to 0.1 V and says that it is at 0.05 V"):
            device.multiply(np.full((1, 3), 0.1))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"idle_rows": ["1C01"]}, "name one for each"), ({"columns": ["1A01", "1B12"]}, "named twice"),
        ({"rows": ["1A01", "1A02", "1A'03"]}, "letters and digits"), ({"window_siemens": (1e-4, 1e-5)}, "must rise"),
        ({"write": {**WRITE, "set_v": (2.0, 0.6)}}, "must grow"), ({"read_voltage_v": 0.7}, "no more than the read"),
        ({"write": {**WRITE, "reset_v": (0.6, 2.0)}}, "same sign"),
    ],
)  # fmt: skip
def test_options_that_would_harm_cells_are_refused(wrong: dict[str, object], said: str) -> None:
    with ExitStack() as stack, pytest.raises(ValidationError, match=said):
        Rack("tsp", stack).options(**wrong)
