"""What a sensor's driver may tell of readings, and what is refused."""

import math
from typing import Any

import numpy as np
import pytest

from pnnlab.devices import SimulatedClock, Stamps, Trigger
from pnnlab.errors import AcquisitionError, DeviceError
from tests.testing.memory_devices import MemoryCamera


class Telling(MemoryCamera):
    """Tells of its readings what it is given."""

    account: dict[str, Any]

    def _read(self, out: np.ndarray, timeout_s: float) -> Stamps:
        return Stamps(len(out), self.exposure_s, **self.account)


def armed(**account: Any) -> Telling:
    camera = Telling("camera", clock=SimulatedClock()).open()
    camera.account = {key: np.asarray(value) for key, value in account.items()}
    camera.arm_frames(3, trigger=Trigger.INTERNAL)
    camera.start()
    return camera


def test_an_incomplete_reading_need_not_tell_number_or_time() -> None:
    account = {"counters": [0, -1, 2], "start_s": [0.0, math.nan, 2.0], "intact": [True, False, True]}
    frames = armed(**account).collect(3, timeout_s=1.0)
    assert frames.stamps.count == 3
    with pytest.raises(AcquisitionError, match="reading 1 of the run is incomplete"):
        armed(**account).read(3, timeout_s=1.0)


@pytest.mark.parametrize(
    "account",
    [
        {"counters": [0, -1, 2], "start_s": [0.0, 1.0, 2.0]},
        {"counters": [0, 1, 2], "start_s": [0.0, math.nan, 2.0]},
        {"counters": [0, 1, -1], "start_s": [0.0, 1.0, 2.0], "intact": [True, False, True]},
    ],
)
def test_a_complete_reading_must_tell_what_the_device_has(account: dict[str, Any]) -> None:
    with pytest.raises(DeviceError, match=r"missing for readings that are complete.* the driver is wrong"):
        armed(**account).collect(3, timeout_s=1.0)
