"""The optical closed loop: real drivers of a display and of a camera, and a light path between them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from scripts.plants.optical_loop import PICTURE, SIMULATED
from scripts.plants.optical_path import DrawingWatch, write_picture
from scripts.plants.virtual_display import VirtualDisplay

ROOT = Path(__file__).parents[2]
REAL = SIMULATED.with_name("optical_loop.yaml")

needs_display = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")


@pytest.mark.slow
@needs_display
def test_training_through_real_drivers_is_training_on_simulated_devices(tmp_path: Path) -> None:
    pytest.importorskip("pypylon.pylon", reason="pypylon is not installed: pip install pnnlab[basler]")
    pytest.importorskip("glfw", reason="glfw is not installed: pip install pnnlab[display]")
    told = tmp_path / "found.json"
    command = [
        sys.executable, "scripts/show_optical_loop.py", "--short", "--bits", "8", "--seeds", "0", "--readings", "40",
        "--runs", str(tmp_path), "--json", str(told),
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    (found,) = json.loads(told.read_text())
    if found["light"]["late"]:
        pytest.skip(f"the computer is too busy to be a light path: {found['light']}")
    readings = found["readings"]
    assert readings["wrong"] == 0, "readings were paired with wrong patterns"
    # 40 readings of a thousand outputs tell a deviation to half a percent
    assert readings["deviation"] == pytest.approx(readings["predicted"], rel=0.02)
    assert found["difference"] <= found["explained"], found
    assert found["real"] > found["linear"] > 0.5 > found["untrained"]["accuracy"]
    # with other noise another training: 120 samples tell an accuracy to 4 %
    assert found["real"] == pytest.approx(found["simulated"][0], abs=0.1)


def test_both_benches_have_the_same_optics_and_the_same_recipe() -> None:
    real, simulated = (YAML(typ="safe").load(path) for path in (REAL, SIMULATED))
    assert real["systems"] == simulated["systems"] and real["training"] == simulated["training"]
    assert Path(real["devices"]["camera"]["options"]["features"]["ImageFilename"]) == PICTURE
    assert real["devices"]["slm"]["options"]["pitch"] == simulated["devices"]["slm"]["options"]["pitch"]


@pytest.mark.parametrize(("bits", "shift"), [(8, 0), (7, 1), (12, 4), (16, 0)])
def test_pictures_are_replaced_at_once_and_left_justified(bits: int, shift: int, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    for seed in range(2):
        counts = np.random.default_rng(seed).integers(0, 2**bits, (6, 9), dtype=np.uint16)
        write_picture(counts, bits, path)
        with Image.open(path) as picture:
            np.testing.assert_array_equal(np.asarray(picture), counts << shift)
    assert [entry.name for entry in tmp_path.iterdir()] == ["picture.png"]


@needs_display
def test_what_is_drawn_again_is_noticed_although_it_looks_the_same() -> None:
    xlib = pytest.importorskip("Xlib.display", reason="python-xlib is not installed")
    with VirtualDisplay((16, 16)) as server:
        watch, drawer = DrawingWatch(server.name), xlib.Display(server.name)
        try:
            root = drawer.screen().root
            context = root.create_gc(foreground=0x808080)
            watch.wait(0.05)
            assert not watch.wait(0.05)
            for _ in range(3):
                root.fill_rectangle(context, 0, 0, 16, 16)
                drawer.sync()
                assert watch.wait(5.0)
                assert not watch.wait(0.0)
            np.testing.assert_array_equal(server.framebuffers[0].levels(), 0x80)
        finally:
            drawer.close()
            watch.close()
