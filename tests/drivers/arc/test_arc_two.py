"""ArC TWO: the vendor's own library as far as it goes without the instrument, and a model of it for the rest."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import pytest
from pydantic import ValidationError

from pnnlab.devices import Limits, SimulatedClock
from pnnlab.errors import AbilityError, DeviceError, SetpointError
from pnnlab.testing import CrossbarArrayConformance, DeviceArguments
from pnnlab_drivers.arc.arc_two import BITLINES, WORDLINES, ArcTwo, ArcTwoOptions
from tests.drivers.arc import arc2_model

WRITE = {"set_v": (0.6, 2.0), "reset_v": (-0.6, -2.0), "step_v": 0.05, "pulse_s": 1e-6, "pulses": 200}


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Put the model in the place of the library, with a fresh board."""
    monkeypatch.setitem(sys.modules, "pyarc2", arc2_model)
    monkeypatch.setattr(arc2_model, "BOARDS", {})
    yield arc2_model


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arc") / "fw.bin"
    path.write_bytes(b"\0")
    return path


def options(firmware: Path, **more: object) -> ArcTwoOptions:
    settings = {
        "firmware": str(firmware), "rows": (0, 33, 5), "columns": (16, 63), "window_siemens": (5e-6, 100e-6),
        "write": WRITE,
    }  # fmt: skip
    return ArcTwoOptions.model_validate(settings | more)


class TestArcTwo(CrossbarArrayConformance[ArcTwo]):
    peer = "a model of pyarc2 after its documentation"
    dimensionless_settings: ClassVar = frozenset({"missed_cells"})

    @pytest.fixture(autouse=True)
    def known(self, firmware: Path) -> None:
        self._firmware = firmware

    def make(self, **arguments: Unpack[DeviceArguments]) -> ArcTwo:
        return ArcTwo("array", options(self._firmware), **arguments)

    @contextmanager
    def _gone(self) -> Iterator[None]:
        board = arc2_model.BOARDS[0]
        board.gone = True
        yield
        board.gone = False

    def unplugged(self, device: ArcTwo) -> AbstractContextManager[object]:
        return self._gone()


def test_cells_are_written_read_and_multiplied_and_channels_never_left_floating(firmware: Path, model: Any) -> None:
    rng = np.random.default_rng(0)
    siemens, volts = rng.uniform(10e-6, 80e-6, (3, 2)), rng.uniform(-0.2, 0.2, (4, 3))
    with ArcTwo("array", options(firmware), clock=SimulatedClock()) as device:
        device.program(siemens)
        board = model.BOARDS[0]
        assert board.state == "SoftGnd"
        cells = board.siemens[np.ix_((16, 63), (0, 33, 5))].T
        np.testing.assert_allclose(cells, siemens, rtol=0.05)
        np.testing.assert_allclose(device.read_conductance(), cells, rtol=1e-12)
        _, amps = device.multiply(volts)
        np.testing.assert_allclose(amps, volts @ cells, rtol=1e-6)
        assert board.state == "SoftGnd"
        untouched = np.ones((64, 64), bool)
        untouched[np.ix_((16, 63), (0, 33, 5))] = False
        assert (board.siemens[untouched] == 20e-6).all()
    assert board.state == "HardGnd"


def test_cells_are_read_the_other_way_and_stepped_one_by_one(firmware: Path, model: Any) -> None:
    volts = np.random.default_rng(0).uniform(-0.2, 0.2, (4, 2))
    with ArcTwo("array", options(firmware), clock=SimulatedClock(), limits={"wear": Limits(0, 3)}) as device:
        device.program(np.full((3, 2), 40e-6))
        board = model.BOARDS[0]
        before = board.siemens[np.ix_((16, 63), (0, 33, 5))].T.copy()
        np.testing.assert_allclose(device.multiply_transposed(volts)[1], volts @ before.T, rtol=1e-6)
        counts = np.array([[3, 0], [0, -2], [0, 0]])
        device.step(counts)
        moved = board.siemens[np.ix_((16, 63), (0, 33, 5))].T - before
        np.testing.assert_array_equal(np.sign(moved), np.sign(counts))
        assert board.state == "SoftGnd"
        with pytest.raises(SetpointError, match="wear, in pulses of a cell, 6 at index"):
            device.step(counts)
        with pytest.raises(AbilityError, match="cannot pulse all rows and columns at once"):
            device.update(np.ones((1, 3), int), np.ones((1, 2), int))


def test_a_failure_in_the_middle_still_grounds(firmware: Path, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with ArcTwo("array", options(firmware), clock=SimulatedClock()) as device:
        monkeypatch.setattr(model.Instrument, "read_one", lambda *_: float("nan"))
        with pytest.raises(DeviceError, match="look for a short or an open line"):
            device.read_conductance()
        assert model.BOARDS[0].state in ("SoftGnd", "HardGnd")


def test_the_vendors_own_library_without_an_instrument(firmware: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pyarc2")
    sdk = pytest.importorskip("pyarc2", reason="pyarc2 is not installed")
    if sdk.find_ids():
        pytest.skip("an ArC TWO is connected")
    assert list(ArcTwo.discover()) == []
    with pytest.raises(DeviceError, match="no ArC TWO at port 0; found: none"):
        ArcTwo("array", options(firmware), clock=SimulatedClock()).open()
    # what the driver calls is there, under the names that it uses
    for name in ("connect_to_gnd", "execute", "finalise_operation", "pulse_one", "read_one", "wait"):
        assert callable(getattr(sdk.Instrument, name))
    assert {"softgnd", "hardgnd"} <= {mode.name.casefold() for mode in sdk.IdleMode}
    with pytest.raises(sdk.ArC2Error):
        sdk.Instrument(0, str(firmware))


def test_a_missing_firmware_file_is_told_before_anything_is_touched(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no firmware file"):
        ArcTwo("array", options(tmp_path / "none.bin"), clock=SimulatedClock()).open()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rows": (0, 16)}, "rows are channels"), ({"columns": (16, 16)}, "each once"),
        ({"window_siemens": (1e-4, 1e-5)}, "must rise"), ({"read_voltage_v": 0.7}, "no more than the read voltage"),
        ({"write": {**WRITE, "set_v": (0.6, 11.0)}}, "the channels to 10 V"),
    ],
)  # fmt: skip
def test_options_that_would_harm_cells_are_refused(firmware: Path, wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        options(firmware, **wrong)


def test_all_channels_are_a_row_or_a_column() -> None:
    assert sorted((*BITLINES, *WORDLINES)) == list(range(64))
