"""Phase masks and echoing waves as systems: what is read is the physics, and what cannot be made is refused."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pnnlab.devices import SimulatedClock
from pnnlab.errors import CapabilityError, SetpointError
from pnnlab.systems import (
    Capability,
    CarriesFields,
    DiffractiveConfig,
    DiffractiveSystem,
    EchoConfig,
    Echoes,
    EchoSystem,
    Side,
)
from pnnlab_drivers.sim.diffractive_table import DiffractiveTable, DiffractiveTableOptions
from scripts.setups.wave_benches import diffractive, echo_lattice

N, MASKS = 12, 2


def masks(**options: Any) -> DiffractiveSystem:
    return diffractive((3, 4), MASKS, **options)


def truth(system: DiffractiveSystem) -> DiffractiveTable:
    plant = system.devices["dac"].plant
    assert isinstance(plant, DiffractiveTable)
    return plant


def light(n: int = 3) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    return draw.uniform(-0.7, 0.7, (n, N)) + 1j * draw.uniform(-0.7, 0.7, (n, N)), draw.random(MASKS * N)


@pytest.mark.parametrize("side", Side)
def test_fields_are_those_of_the_physics_at_every_plane(side: Side) -> None:
    system = masks(mask_error_rad=0.2, shift_px=0.1)
    field, theta = light()
    plant = truth(system)
    through = plant.transmission(torch.from_numpy(theta.reshape(MASKS, N)) * plant.options.turn_v)
    run = plant.stack if side is Side.IN else plant.stack.backward
    expected, found = run(torch.from_numpy(field), through), system.send(field, theta, side=side)
    assert found.inside is not None and found.behind is not None
    np.testing.assert_allclose(found.out, expected.leaving.numpy(), atol=1e-12)
    np.testing.assert_allclose(found.inside, expected.before.flatten(1).numpy(), atol=1e-12)
    np.testing.assert_allclose(found.behind, expected.behind.flatten(1).numpy(), atol=1e-12)
    assert system.n_shots == 4 * len(field)


def test_a_look_is_a_measurement_and_its_fields() -> None:
    system = masks()
    x, theta = light()[0].real, light()[1]
    y, fields = system.look(x, theta)
    np.testing.assert_allclose(y, system.measure(x, theta).y, atol=1e-12)
    np.testing.assert_allclose(y, np.abs(fields.out) ** 2, atol=1e-12)


def test_rows_of_constant_light_take_no_inputs() -> None:
    system = masks(wiring={"references": 1})
    assert (system.n_in, system.input_shape) == (8, (2, 4))
    x, theta = light()[0].real[:, :8], light()[1]
    field = system.entering(x)
    np.testing.assert_allclose(system.measure(x, theta).y, np.abs(system.send(field, theta).out) ** 2, atol=1e-12)
    dark = system.send(np.zeros((1, N), complex), theta, side=Side.OUT)
    np.testing.assert_allclose(dark.out, 0, atol=1e-12)
    with pytest.raises(ValidationError, match="none is left for inputs"):
        masks(wiring={"references": 3})


def test_the_mirror_image_of_the_mirror_image_is_the_set_up() -> None:
    system, (_, theta) = masks(), light()
    assert not np.array_equal(system.mirrored(theta), theta)
    np.testing.assert_array_equal(system.mirrored(system.mirrored(theta)), theta)


def test_phases_beyond_a_turn_are_the_same_as_within() -> None:
    system, (field, theta) = masks(), light()
    np.testing.assert_allclose(
        system.measure(field.real, theta - 3).y, system.measure(field.real, theta).y, atol=1e-12
    )  # fmt: skip


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (np.full((1, N), 1.2 + 0j), "up to 1.2"),
        (np.zeros((1, 3), complex), "expected is"),
        (np.zeros(N), "expected is"),
    ],
)
def test_light_that_no_source_makes_is_refused(field: np.ndarray, message: str) -> None:
    system = masks()
    with pytest.raises(SetpointError, match=message):
        system.send(field, light()[1])
    assert system.n_shots == 0


def test_without_a_source_at_the_output_side_nothing_is_sent_back() -> None:
    system = masks(backward=False)
    assert Capability.BIDIRECTIONAL not in system.capabilities and Capability.MIRROR_SYMMETRIC in system.capabilities
    with pytest.raises(CapabilityError, match="`backward: true`"):
        system.send(*light(), side=Side.OUT)


def test_both_wirings_follow_the_protocols_of_their_physics() -> None:
    assert isinstance(masks(), CarriesFields) and not isinstance(masks(), Echoes)
    assert isinstance(echo_lattice(), Echoes) and not isinstance(echo_lattice(), CarriesFields)


def test_shot_noise_is_that_of_the_photons() -> None:
    photons, bright = 1e4, 0.25
    table = DiffractiveTable(
        "table", DiffractiveTableOptions(precision="float64", photons=photons, camera_v=0.5), clock=SimulatedClock()
    )
    volts = torch.full((400, table.n_outputs), bright * 0.5, dtype=torch.float64)
    counts = table.disturbed(volts, 0.0) / 0.5 * photons
    assert float(counts.std()) == pytest.approx(math.sqrt(bright * photons), rel=0.02)
    assert float(counts.mean()) == pytest.approx(bright * photons, rel=0.001)


# Echoes


def waves(**wiring: Any) -> EchoSystem:
    return echo_lattice((2, 3), 2, steps=10, detuning_spread=0.3, wiring={"reach": 2.0, **wiring})


@pytest.mark.parametrize(
    "wiring",
    [
        {},
        {"inputs": "series", "output_slabs": 2},
        {"medium": "shared", "input_modes": 2, "output_modes": 3, "bias": 0.4},
    ],
    ids=str,
)
def test_an_echo_returns_to_its_start_and_tells_the_outputs(wiring: dict[str, Any]) -> None:
    system, draw = waves(**wiring), np.random.default_rng(0)
    x, theta = draw.uniform(-1, 1, (3, system.n_in)), draw.random(system.n_controls)
    echo = system.echo(x, theta)
    np.testing.assert_allclose(echo.y, system.measure(x, theta).y, atol=1e-12)
    np.testing.assert_allclose(echo.returned, echo.start, atol=1e-10)
    np.testing.assert_allclose(echo.local, 0, atol=1e-9)
    assert echo.local.shape == (3, system.n_controls) and system.n_shots == 6


def test_a_shared_medium_is_the_same_detuning_in_every_slab() -> None:
    apart, shared = waves(), waves(medium="shared")
    x, theta = np.full((1, 6), 0.5), np.random.default_rng(0).random(6)
    np.testing.assert_allclose(shared.measure(x, theta).y, apart.measure(x, np.tile(theta, 2)).y)


@pytest.mark.parametrize("key", ["input_modes", "output_modes", "output_slabs"])
def test_more_than_there_is_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match=f"{key} is 9"):
        EchoConfig.model_validate({"dac": "dac", "adc": "adc", "rate_hz": 1e4, "modes": 6, "slabs": 2, key: 9})


def test_converters_with_other_channels_are_refused() -> None:
    with pytest.raises(SetpointError, match="correct the numbers of ports"):
        echo_lattice((2, 3), 2, wiring={"modes": 5})
    with pytest.raises(SetpointError, match="correct the numbers of ports"):
        masks(wiring={"masks": 3})
    assert DiffractiveConfig(dac="dac", adc="adc", rate_hz=1e4, pixels=(2, 2), masks=1).kind == "diffractive"
