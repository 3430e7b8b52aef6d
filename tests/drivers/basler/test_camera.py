"""The Basler driver against the vendor's own camera emulator."""

from typing import Any, Unpack

import pytest

from pnnlab.devices import Clock, ExpectedIdentity, RealClock
from pnnlab.testing import CameraConformance, DeviceArguments
from pnnlab_drivers.basler.camera import BaslerCamera

pytest.importorskip("pypylon.pylon", reason="pypylon is not installed: pip install pnnlab[basler]")


def options(**changes: Any) -> Any:
    """Return options of a small emulated sensor."""
    features = {"WidthMax": 1024, "HeightMax": 1040, **changes.pop("features", {})}
    return BaslerCamera.Options.model_validate({"features": features, **changes})


class TestBaslerCamera(CameraConformance[BaslerCamera]):
    dimensionless_settings = frozenset({"gain"})
    impatience_s = 0.05

    def make(self, **arguments: Unpack[DeviceArguments]) -> BaslerCamera:
        arguments.setdefault("expected", ExpectedIdentity(serial="0815-0000"))
        return BaslerCamera("camera", options(), **arguments)

    def clock(self) -> Clock:
        return RealClock()
