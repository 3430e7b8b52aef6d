"""The Micro-Manager modulator driver over the core of pymmcore-plus, which knows devices written in Python."""

from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.devices import Clock, RealClock
from pnnlab.errors import SetpointError
from pnnlab.testing import DeviceArguments, SpatialLightModulatorConformance
from pnnlab_drivers.micromanager.slm import MicroManagerSlm

pytest.importorskip("pymmcore_plus", reason="pymmcore-plus is not installed")

HERE = "tests.drivers.micromanager.python_devices"


def options(device: str = "PythonSlm") -> Any:
    known = {"core": "pymmcore-plus", "library": HERE, "device": device, "pitch_m": 8e-6, "settle_s": 1e-3}
    return MicroManagerSlm.Options.model_validate({**known, "frame_period_s": 1e-3})


def shown() -> npt.NDArray[np.uint8]:
    from tests.drivers.micromanager.python_devices import PythonSlm

    return np.array(PythonSlm.last.shown)


class TestMicroManagerSlm(SpatialLightModulatorConformance[MicroManagerSlm]):
    peer = "pymmcore-plus's core with a device in Python"

    def make(self, **arguments: Unpack[DeviceArguments]) -> MicroManagerSlm:
        return MicroManagerSlm("slm", options(), **arguments)

    def clock(self) -> Clock:
        return RealClock()

    def instrument_has(self, device: MicroManagerSlm, quantity: str) -> npt.NDArray[np.number]:
        return shown()


def test_patterns_are_shown_as_they_are_and_the_panel_goes_dark_at_the_end() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
    with MicroManagerSlm("slm", options(), clock=RealClock()) as panel:
        assert panel.shape == (6, 8)
        panel.write(levels)
        np.testing.assert_array_equal(shown(), levels)
    assert not shown().any()


def test_a_modulator_of_colours_is_refused() -> None:
    with pytest.raises(SetpointError, match="takes 3 colours of 1 bytes in all, expected are grey levels of 8 bits"):
        MicroManagerSlm("slm", options("ColourSlm"), clock=RealClock()).open()
