"""The system `slm-camera` with real drivers of cameras: strict alternation where there are no time stamps."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pnnlab.devices import ExpectedIdentity, Identity, RealClock, SpatialLightModulator
from pnnlab.systems import Facilities, SlmCamera
from pnnlab_drivers.basler.camera import BaslerCamera

SHAPE = (8, 8)


class ScenePanel(SpatialLightModulator):
    """A panel whose pattern is the scene that an emulated camera reads anew for every frame."""

    shape = SHAPE
    levels = 256
    pitch_m = 8e-6
    frame_period_s = 1e-3
    settle_s = 0.0

    def __init__(self, show: Callable[[npt.NDArray[np.number]], None]) -> None:
        super().__init__("panel", clock=RealClock())
        self._show = show

    def _open(self) -> None:
        pass

    def _identify(self) -> Identity:
        return Identity("pnnlab", "scene", "1")

    def _close(self) -> None:
        pass

    def _make_safe(self) -> None:
        pass

    def _write(self, levels: npt.NDArray[np.number]) -> None:
        self._show(levels)


def test_every_shot_is_of_its_own_pattern(tmp_path: Path) -> None:
    pytest.importorskip("pypylon.pylon", reason="pypylon is not installed: pip install pnnlab[basler]")
    scene = tmp_path / "scene.png"

    def show(levels: npt.NDArray[np.number]) -> None:
        Image.fromarray(levels.astype(np.uint8)).save(tmp_path / "next.png")
        (tmp_path / "next.png").replace(scene)

    show(np.zeros(SHAPE))
    features = {"TestImageSelector": "Off", "ImageFileMode": "On", "ImageFilename": str(scene)}
    options = BaslerCamera.Options.model_validate({"features": features})
    clock, who = RealClock(), ExpectedIdentity(serial="0815-0001")
    with ScenePanel(show) as panel, BaslerCamera("camera", options, clock=clock, expected=who) as camera:
        wiring = {
            "slm": "panel", "camera": "camera", "exposure_s": 1e-3, "retakes": 0,
            "encoder": {"macropixels": SHAPE, "input_depth": 1.0},
            "decoder": {"bins": SHAPE, "region": {"top": 0, "left": 0, "height": SHAPE[0], "width": SHAPE[1]}},
        }  # fmt: skip
        config = SlmCamera.Config.model_validate(wiring)
        optics = SlmCamera("optics", config, {"slm": panel, "camera": camera}, Facilities(clock))
        assert optics.mode == "alternating"
        levels = np.random.default_rng(0).integers(0, 256, (30, 64))
        shots = optics.measure(levels / 256, np.zeros(64))
        np.testing.assert_array_equal(np.rint(shots.y * 255), levels)
        assert optics.n_retaken == 0
