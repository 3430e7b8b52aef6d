"""The simulated chip: what is hidden in a specimen, and its noise."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pnnlab.devices import SimulatedClock
from pnnlab_drivers.sim.mesh_chip import MeshChip
from scripts.setups.mesh_bench import MeshBench

SPREADS = {
    "coupler_error": 0.1, "phase_offset_rad": 0.5, "heater_spread": 0.05, "crosstalk": 0.02, "tap_gain_spread": 0.1,
    "port_gain_spread": 0.1, "port_phase_rad": 0.1, "nonreciprocity_rad": 0.1,
}  # fmt: skip


def chip(seed: int = 1, **options: object) -> MeshChip:
    return MeshChip("chip", MeshChip.Options.model_validate(options), clock=SimulatedClock(), seed=seed)


def numbers(plant: MeshChip) -> dict[str, torch.Tensor]:
    return dict(plant.circuit.named_buffers())


def test_mismatch_scales_every_hidden_deviation_and_zero_is_the_design() -> None:
    full, half, design = (chip(**SPREADS, mismatch=m) for m in (1.0, 0.5, 0.0))
    nothing = numbers(chip())
    for name, value in numbers(full).items():
        due = nothing[name].expand_as(value)
        torch.testing.assert_close(numbers(design)[name], due)
        if name != "two_pi_v":  # a root of the resistance
            torch.testing.assert_close((numbers(half)[name] - due) * 2, value - due, rtol=1e-4, atol=1e-5)


def test_another_seed_is_another_specimen() -> None:
    one, other = (numbers(chip(seed, **SPREADS))["mesh.phase_error_rad"] for seed in (1, 2))
    assert not torch.allclose(one, other)
    torch.testing.assert_close(numbers(chip(1, **SPREADS))["mesh.phase_error_rad"], one)


def test_shot_noise_is_that_of_the_photons() -> None:
    photons, n = 1e4, 4000
    bench = MeshBench({"photons": photons})
    reading = bench.mesh.probe(np.tile(bench.mesh.encode(np.full((1, 4), 0.8), np.full(16, 0.3))[0], (n, 1)))
    mean, spread = reading.mean(0), reading.std(0)
    powers = np.concatenate([mean[:4], mean[-16:]])
    np.testing.assert_allclose(np.concatenate([spread[:4], spread[-16:]]), np.sqrt(powers / photons), rtol=0.06)
    np.testing.assert_allclose(spread[4:-16], 0.5 / np.sqrt(photons), rtol=0.06)


def test_light_of_both_sides_adds_in_a_tap() -> None:
    plant = chip(precision="float64", taps="intensity")
    volts = torch.rand(1, plant.n_inputs, dtype=torch.float64)
    left, right = volts.clone(), volts.clone()
    left[:, -8:], right[:, 16:24] = 0, 0
    both, *alone = (plant.respond(v)[:, -16:] for v in (volts, left, right))
    torch.testing.assert_close(both, alone[0] + alone[1])


def test_a_chip_that_is_driven_from_both_sides_reads_fields_at_both() -> None:
    with pytest.raises(ValidationError, match="set `coherent` to true"):
        chip(coherent=False)
