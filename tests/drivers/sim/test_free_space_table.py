"""Free space folded over one panel, beside a few lines of numpy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pydantic import ValidationError

from pnnlab.devices import SimulatedClock
from pnnlab.errors import DeviceError
from pnnlab_drivers.sim.camera import SimCamera
from pnnlab_drivers.sim.free_space_table import FreeSpaceTable, FreeSpaceTableOptions
from pnnlab_drivers.sim.slm import SimSlm

PANEL = {"block": 2, "sources": ((0, 0), (0, 4)), "masks": ((5, 0), (5, 4)), "reference": (0, 8)}
SENSOR = {"block": 3, "leaving": ((0, 0), (0, 7)), "before": ((7, 0), (7, 7)), "behind": ((14, 0), (14, 7))}
OPTIONS: dict[str, Any] = {
    "precision": "float64", "pixels": (2, 2), "masks": 2, "panel": PANEL, "sensor": SENSOR, "mask_loss_db": 1.0,
    "shift_px": 0.2, "distance_m": 5e-3, "source_amplitude": 3.0, "reference_amplitude": 0.7,
    "photons_per_pixel_s": 1e5,
}  # fmt: skip


def table(shape: tuple[int, int] = (9, 12), **options: Any) -> tuple[FreeSpaceTable, SimSlm]:
    clock = SimulatedClock()
    chosen = FreeSpaceTableOptions.model_validate({**OPTIONS, **options})
    plant = FreeSpaceTable("table", chosen, clock=clock, seed=3)
    panel = SimSlm.Options.model_validate({"shape": shape, "pitch_m": 20e-6, "quantised": False})
    return plant, SimSlm("slm", panel, clock=clock, plant=plant)


def mean(field: npt.NDArray[np.complex128], corner: tuple[int, int]) -> npt.NDArray[np.complex128]:
    top, left = corner
    return np.array([
        field[top + 2 * row : top + 2 * row + 2, left + 2 * column : left + 2 * column + 2].mean()
        for row in range(2) for column in range(2)
    ])  # fmt: skip


def test_a_sensor_sees_every_plane_in_its_region_and_nothing_beside_them() -> None:
    plant, slm = table()
    slm.open()
    levels = np.random.default_rng(0).uniform(0, 256, (9, 12))
    field = np.exp(2j * np.pi * levels / 256)
    ahead, back = (3.0 * mean(field, corner) for corner in ((0, 0), (0, 4)))
    masks = [10 ** (-1 / 20) * mean(field, corner) for corner in ((5, 0), (5, 4))]
    first, between, last = plant.stack.spaces.numpy()
    before = [first @ ahead]
    behind = [masks[0] * before[0]]
    before.append(between @ behind[0])
    behind.append(masks[1] * before[1])
    # light from the output side meets the transposes
    back_behind = [between.T @ (masks[1] * (last.T @ back)), last.T @ back]
    back_before = [masks[k] * back_behind[k] for k in range(2)]
    inside = [before[k] + back_before[k] for k in range(2)] + [behind[k] + back_behind[k] for k in range(2)]
    planes = [last @ behind[1], first.T @ back_before[0], *inside]
    reference = 0.7 * 3.0 * np.mean(mean(field, (0, 8)))
    expected = np.zeros((20, 14))
    corners = ((0, 0), (0, 7), (7, 0), (7, 7), (14, 0), (14, 7))
    for (top, left), plane in zip(corners, planes, strict=True):
        bright = np.abs(plane + reference).reshape(2, 2) ** 2
        expected[top : top + 6, left : left + 6] = bright.repeat(3, 0).repeat(3, 1)
    found = plant.settled(torch.from_numpy(levels)[None], 2e-3, (20, 14))[0]
    np.testing.assert_allclose(found.numpy(), expected * 1e5 * 2e-3, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("panel", {"masks": ((5, 0),)}, "`panel` has 1 corners of `masks`, the plant has 2"),
        ("panel", {"sources": ((0, 0),)}, "`panel` has 1 corners of `sources`, the plant has 2"),
        ("sensor", {"before": ()}, "`sensor` has 0 corners of `before`, the plant has 2"),
    ],
)
def test_a_plane_without_a_place_is_refused(part: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        table(**{part: {**OPTIONS[part], **changes}})


def test_tiles_beside_the_panel_and_planes_beside_the_sensor_are_refused() -> None:
    with pytest.raises(DeviceError, match=r"at \(5, 0\), \(5, 4\) are off the panel of 8 x 12"):
        table((8, 12))[1].open()
    plant, slm = table()
    slm.open()
    camera = SimCamera(
        "camera", SimCamera.Options.model_validate({"sensor": (20, 10)}), clock=plant.clock, plant=plant
    ).open()  # fmt: skip
    with pytest.raises(DeviceError, match=r"a plane of 6 x 6 pixels at \(0, 7\) is off the sensor of 20 x 10"):
        camera.expected(torch.zeros(1, 9, 12))


def test_there_is_no_light_without_a_panel() -> None:
    with pytest.raises(DeviceError, match="open the sim-slm"):
        _ = table()[0].stack
    with pytest.raises(ValidationError):
        FreeSpaceTableOptions.model_validate({**OPTIONS, "source_amplitude": 0})
