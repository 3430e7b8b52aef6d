"""Phase masks that are tiles of a panel before a camera: the same physics, through displays and frames."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pnnlab.bench import Bench
from pnnlab.devices import RegionOfInterest, Trigger
from pnnlab.errors import BenchFileError, CapabilityError, SetpointError
from pnnlab.methods import FullyForward, InSituDiffractive
from pnnlab.nn import interface_of
from pnnlab.systems import Capability, CarriesFields, FreeSpaceSystem, Side
from pnnlab.training import measure_conditions
from pnnlab.twins import DiffractiveTwin, DiffractiveTwinConfig
from pnnlab_drivers.sim.camera import SimCamera
from pnnlab_drivers.sim.free_space_table import FreeSpaceTable
from pnnlab_drivers.sim.slm import SimSlm
from scripts.setups.wave_benches import diffractive, free_space, gradients

FILE = Path(__file__).parents[1] / "data" / "small_free_space.yaml"
PIXELS, N, MASKS = (3, 4), 12, 2
SPACE: dict[str, Any] = {"distance_m": 8e-3}
QUANTISED: dict[str, Any] = {"slm": {"quantised": True}, "camera": {"quantised": True}}


def masks(**options: Any) -> FreeSpaceSystem:
    return free_space(PIXELS, MASKS, **SPACE, **options)


def light(n: int = 3, side: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.uniform(-side, side, (n, N)) + 1j * draw.uniform(-side, side, (n, N)), draw.random(MASKS * N)


def plant_of(system: FreeSpaceSystem) -> FreeSpaceTable:
    plant = system.devices["slm"].plant
    assert isinstance(plant, FreeSpaceTable)
    return plant


# The physics


@pytest.mark.parametrize("side", Side)
def test_fields_are_those_of_the_physics_at_every_plane(side: Side) -> None:
    system = masks(shift_px=0.1, mask_loss_db=0.5)
    field, theta = light()
    stack = plant_of(system).stack
    through = 10 ** (-0.5 / 20) * torch.exp(2j * torch.pi * torch.from_numpy(theta.reshape(MASKS, N)))
    expected = (stack if side is Side.IN else stack.backward)(torch.from_numpy(field), through)
    found = system.send(field, theta, side=side)
    assert found.inside is not None and found.behind is not None
    np.testing.assert_allclose(found.out, expected.leaving.numpy(), atol=1e-11)
    np.testing.assert_allclose(found.inside, expected.before.flatten(1).numpy(), atol=1e-11)
    np.testing.assert_allclose(found.behind, expected.behind.flatten(1).numpy(), atol=1e-11)
    assert system.n_shots == 4 * len(field)


def test_it_is_the_same_map_as_behind_converters() -> None:
    shown, driven = masks(shift_px=0.2), diffractive(PIXELS, MASKS, shift_px=0.2, **SPACE)
    (field, theta), x = light(), light()[0].real
    np.testing.assert_allclose(shown.measure(x, theta).y, driven.measure(x, theta).y, atol=1e-11)
    np.testing.assert_allclose(shown.measure(x, theta).drive[0], driven.measure(x, theta).drive[0], atol=1e-12)
    (y, seen), (same, also) = shown.look(x, theta), driven.look(x, theta)
    np.testing.assert_allclose(y, same, atol=1e-11)
    np.testing.assert_allclose(seen.behind, also.behind, atol=1e-11)
    assert isinstance(shown, CarriesFields) and shown.capabilities == driven.capabilities
    np.testing.assert_allclose(shown.send(field, theta - 2).out, driven.send(field, theta).out, atol=1e-11)


def test_the_twin_of_the_design_fits_both() -> None:
    system = masks()
    twin = DiffractiveTwin(
        DiffractiveTwinConfig(pixels=PIXELS, masks=MASKS, pitch_m=40e-6, wavelength_m=532e-9, **SPACE),
        interface_of(system), dtype=torch.float64,
    )  # fmt: skip
    x, theta = light()[0].real, light()[1]
    shots = system.measure(x, theta)
    np.testing.assert_allclose(twin(torch.from_numpy(shots.drive[0])).detach().numpy(), shots.y, atol=1e-11)


@pytest.mark.parametrize(
    "options", [{}, {"shift_px": 0.3}, {"wiring": {"references": 1}}, {"wiring": {"source_amplitude": 3.0},
    "source_amplitude": 3.0}, {"wiring": {"reference_amplitude": 0.5}, "reference_amplitude": 0.5}], ids=str,
)  # fmt: skip
def test_errors_sent_back_are_exact_to_rounding(options: dict[str, Any]) -> None:
    system = free_space((4, 4), 3, **options)
    result = gradients(system, InSituDiffractive())
    assert result.error < 1e-11 and result.error_x < 1e-11
    assert system.n_shots == 3 * (5 + 4)


def test_errors_sent_forwards_are_exact_in_a_mirror_image_and_turn_with_its_faults() -> None:
    aligned = gradients(free_space((4, 4), 3, mask_loss_db=1.0), FullyForward())
    assert aligned.error < 1e-11 and aligned.error_x < 1e-11
    shifted = gradients(free_space((4, 4), 3, shift_px=0.3), FullyForward())
    assert 0.5 < shifted.cosine < 0.95


@pytest.mark.parametrize("method", [InSituDiffractive, FullyForward])
def test_grey_levels_counts_and_noise_leave_the_gradient_a_small_angle(method: Callable[[], Any]) -> None:
    coarse = {"slm": {"quantised": True}}
    noisy = {
        **coarse, "photons_per_pixel_s": 1e7,
        "camera": {"quantised": True, "noise": 1.0, "bit_depth": 12, "gain_counts_per_electron": 0.02,
                   "read_noise_electrons": 2.0},
        "wiring": {"unit_counts": 200},
    }  # fmt: skip
    levels, both = (
        np.mean([gradients(free_space((4, 4), 3, **options), method(), seed=seed).cosine for seed in (1, 2, 3)])
        for options in (coarse, noisy)
    )
    assert 0.995 < both < levels < 1


def test_what_is_there_in_the_dark_is_taken_off() -> None:
    (field, theta), none = light(), np.zeros((1, N), complex)
    uneven: dict[str, Any] = {"slm": {"flatness_rad": 0.1}}
    plain, taken = masks(**uneven), masks(**uneven, wiring={"subtract_dark": True})
    dark, seen = plain.send(none, theta), plain.send(field, theta)
    assert dark.out is not None and np.abs(dark.out).max() > 1e-3, "sources that are uneven are not quite dark"
    found = taken.send(field, theta)
    for part in ("out", "inside", "behind"):
        np.testing.assert_allclose(getattr(found, part), getattr(seen, part) - getattr(dark, part), atol=1e-11)
    assert taken.n_shots == 4 * (3 + 1)
    exact = gradients(free_space((4, 4), 3, wiring={"subtract_dark": True}), InSituDiffractive())
    assert exact.error < 1e-11 and exact.error_x < 1e-11


def test_symmetries_are_measured_through_the_panel() -> None:
    def found(**options: Any) -> dict[str, float]:
        return {one.name: one.value for one in measure_conditions(masks(**options))}

    perfect, turned, askew = found(), found(nonreciprocity=0.1), found(shift_px=0.3)
    assert perfect["reciprocity error"] < 1e-9 and perfect["mirror-symmetry error"] < 1e-9
    assert turned["reciprocity error"] > 0.05
    assert askew["reciprocity error"] < 1e-9 and askew["mirror-symmetry error"] > 0.05


# Displays and frames


def test_the_drive_that_is_told_is_what_grey_levels_make() -> None:
    system = masks(slm={"quantised": True})
    x, theta = light()[0].real, light()[1]
    asked, shots = system.encode(x, theta)[0], system.measure(x, theta)
    step = 1.1 * 2 * np.pi / 256  # a step of the phase near the dark, times half the source's amplitude
    assert 1e-4 < np.abs(shots.drive[0][:, : 4 * N] - asked[:, : 4 * N]).max() <= step
    turns = np.abs(shots.drive[0][:, 4 * N : -2] - asked[:, 4 * N : -2])
    assert 1e-4 < np.minimum(turns, 1 - turns).max() <= 0.5 / 256 + 1e-12
    np.testing.assert_allclose(shots.drive[0][:, -2], 0, atol=1e-12)  # half a turn is a whole number of levels
    (panel,) = system.to_setpoints(asked)
    assert panel.shape == (3, *system.devices["slm"].shape) and not panel[:, :6, 24:].any()  # type: ignore[attr-defined]


def test_what_settles_late_is_never_read_too_early() -> None:
    slow = masks(
        slm={"settling_s": 2e-3, "data_sheet_settle_s": 40e-3}, wiring={"exposure_s": 0.5e-3, "unit_counts": 50}
    )
    assert slow.mode == "sequence" and slow.shot_s > 40e-3 and slow.timings["slm"].settle_s == 40e-3
    x, theta = light()[0].real, light()[1]
    np.testing.assert_allclose(slow.measure(x, theta).y, masks().measure(x, theta).y, atol=1e-7)
    exposures, pulses = plant_of(slow).exposures, slow.n_shots
    assert len(exposures) == pulses and all(len(exposure.tokens) == 1 for exposure in exposures)


@pytest.mark.parametrize(
    ("slm", "camera", "mode"),
    [
        ({}, {}, "sequence"),
        ({"sequence_memory": 0}, {}, "overlapped"),
        ({"sequence_memory": 0}, {"stamps": False, "counts": False}, "alternating"),
    ],
)
def test_every_way_of_taking_frames_reads_the_same(slm: dict[str, Any], camera: dict[str, Any], mode: str) -> None:
    system = masks(slm=slm, camera=camera)
    x, theta = light()[0].real, light()[1]
    assert system.mode == mode
    np.testing.assert_allclose(system.measure(x, theta).y, masks().measure(x, theta).y, atol=1e-11)


def test_lost_frames_are_taken_again() -> None:
    system = masks(camera={"faults": {"drop": 0.1, "miss": 0.1}}, wiring={"retakes": 20})
    x, theta = light(20)[0].real, light()[1]
    np.testing.assert_allclose(system.measure(x, theta).y, masks().measure(x, theta).y, atol=1e-11)
    assert system.n_retaken > 0


def test_the_camera_reads_no_more_than_holds_all_planes() -> None:
    system = masks(camera={"sensor": (20, 20)})
    camera = system.devices["camera"]
    assert isinstance(camera, SimCamera) and camera.roi == RegionOfInterest(0, 0, 9, 8)
    assert camera.exposure_s == 1e-3 and Trigger.HARDWARE in camera.triggers


# What cannot be


@pytest.mark.parametrize(("method", "missing"), [(InSituDiffractive, "backward"), (FullyForward, "taps")])
def test_what_a_table_has_no_light_or_eyes_for_is_not_claimed(method: Any, missing: str) -> None:
    system = masks(**{missing: False})
    assert method.needs <= masks().capabilities and not method.needs <= system.capabilities
    if missing == "backward":
        assert Capability.BIDIRECTIONAL not in system.capabilities
        with pytest.raises(CapabilityError, match="`backward: true`"):
            system.send(*light(), side=Side.OUT)


PANEL = {"block": 2, "sources": [[0, 0], [0, 8]], "masks": [[6, 0], [6, 8]], "reference": [0, 16]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"panel": {**PANEL, "masks": [[6, 0]]}}, "panel: masks has 1 corners, expected are 2"),
        ({"panel": {**PANEL, "sources": [[0, 0]]}}, "panel: sources has 1 corners, expected are 2"),
        ({"panel": {**PANEL, "masks": [[5, 0], [6, 8]]}}, "panel: source 1 and mask 1 overlap, each is 6 x 8"),
        ({"panel": {**PANEL, "reference": [2, 12]}}, "source 2 and the reference overlap.*mask 2 and the reference"),
        ({"panel": {**PANEL, "block": 3}}, "multiple of 2"),
        ({"sensor": {"block": 1, "leaving": [[0, 0], [0, 4]]}}, "sensor: before has 0 corners, expected are 2"),
        ({"source_amplitude": 2.0}, "greater than 2"),
    ],
)
def test_places_that_do_not_fit_each_other_are_refused_by_the_file(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        masks(wiring=changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"wiring": {"panel": {**PANEL, "masks": [[7, 0], [6, 20]]}}},
            r"mask 1 at \[7, 0\], mask 2 at \[6, 20\], 6 x 8 pixels each, is off the 12 x 24 pixels of slm",
        ),
        ({"camera": {"sensor": (8, 8)}}, r"behind 1 at \[6, 0\], .* off the 8 x 8 pixels of camera; correct `sensor`"),
        ({"camera": {"bit_depth": 8}}, "has intensity 4, which is 400 counts, camera ends at 255"),
    ],
)
def test_a_panel_or_a_camera_too_small_is_refused_before_anything_is_sent(
    changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(SimSlm, "_write", lambda *_: sent.append("pattern"))
    monkeypatch.setattr(SimCamera, "_configure", lambda *_: sent.append("region"))
    with pytest.raises(SetpointError, match=message):
        masks(**changes)
    assert not sent


@pytest.mark.parametrize(
    ("field", "message"),
    [(np.full((1, N), 1.2 + 0j), "up to 1.2"), (np.zeros((1, 3), complex), "expected is")],
)
def test_light_that_no_source_makes_is_refused(field: np.ndarray, message: str) -> None:
    system = masks()
    with pytest.raises(SetpointError, match=message):
        system.send(field, light()[1])
    with pytest.raises(SetpointError, match="times as strong"):
        system.probe(np.full((1, 74), 1.65))
    assert system.n_shots == 0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    slm: slm\n", "    slm: camera\n", r"the device 'camera' \(SimCamera\) is no SpatialLightModulator"),
        ("    camera: camera\n", "    camera: slm\n", r"the device 'slm' \(SimSlm\) is no Camera"),
        (
            "reference: [0, 16]",
            "reference: [0, 15]",
            r"systems\.\w+: panel: source 2 and the reference overlap.*; correct the corners",
        ),
        ("    slm: slm\n", "    slm: slm\n    references: 9\n", r"systems\.\w+: references take 9 rows.*; correct it"),
    ],
)
def test_a_file_says_what_is_wired_wrongly(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(FILE.read_text().replace(old, new))
    with pytest.raises(BenchFileError, match=message):
        Bench.from_file(path)
