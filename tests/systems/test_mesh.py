"""Meshes of interferometers between converters: what they make of light, and what they tell."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pnnlab.errors import CapabilityError, SetpointError
from pnnlab.nn import ForwardRule, PhysicalLayer, interface_of
from pnnlab.physics import InterferometerMesh, SvdMesh, mesh_fields
from pnnlab.systems import Capability, CarriesFields, OpticalPorts, Side
from pnnlab.twins import FitConfig, MeshTwinConfig, ShotSet, fit, make_twin, stage_by_stage
from scripts.setups.mesh_bench import MeshBench

RANDOM = np.random.default_rng(0)
PERFECT = {"coupler_error": 0.0, "phase_offset_rad": 0.0}
FORWARD_ONLY: dict[str, Any] = {"taps": "none", "coherent": False, "bidirectional": False}


def fields(batch: int, n: int) -> Any:
    return RANDOM.uniform(-1, 1, (batch, n)) + 1j * RANDOM.uniform(-1, 1, (batch, n))


def true_phases(bench: MeshBench, turns: Any) -> torch.Tensor:
    return 2 * np.pi * torch.from_numpy(turns % 1)


@pytest.mark.parametrize("taps", ["intensity", "field"])
@pytest.mark.parametrize("side", list(Side))
def test_light_is_read_as_it_is(taps: str, side: Side) -> None:
    bench = MeshBench({"coupler_loss_db": 0.2}, taps=taps)
    turns, sent = RANDOM.uniform(-1, 2, 16), fields(5, 4)
    assert isinstance(bench.mesh, CarriesFields) and isinstance(bench.mesh, OpticalPorts)
    reading = bench.mesh.send(sent, turns, side=side)
    optics, phases = bench.plant.circuit.mesh, true_phases(bench, turns)
    truth = mesh_fields(optics, torch.from_numpy(sent), phases, backward=side is Side.OUT)
    assert reading.out is not None and reading.inside is not None
    np.testing.assert_allclose(reading.out, truth.out.numpy(), atol=1e-7)
    inside = truth.inside if taps == "field" else truth.inside.abs().square()
    np.testing.assert_allclose(reading.inside, inside.numpy(), atol=1e-7)
    assert bench.mesh.n_shots == 5


@pytest.mark.parametrize("side", list(Side))
def test_two_meshes_are_read_between_them(side: Side) -> None:
    bench = MeshBench({"matrix": "factored"}, {"matrix": "factored"}, taps="field")
    turns, sent = RANDOM.random(36), fields(3, 4)
    reading, optics = bench.mesh.send(sent, turns, side=side), bench.plant.circuit.mesh
    assert isinstance(optics, SvdMesh) and reading.out is not None and reading.inside is not None
    truth = optics.fields(torch.from_numpy(sent), true_phases(bench, turns), backward=side is Side.OUT)
    np.testing.assert_allclose(reading.out, truth.out.numpy(), atol=1e-7)
    np.testing.assert_allclose(reading.inside, truth.inside.numpy(), atol=1e-7)
    assert Capability.FACTORED in bench.mesh.capabilities
    assert not {Capability.INTERNAL_INTENSITY, Capability.LOCAL_STATE} & bench.mesh.capabilities


@pytest.mark.parametrize("mode", ["waveform", "steps"])
def test_light_between_two_meshes_comes_with_the_outputs(mode: str) -> None:
    """The state is what the second mesh gets; a twin of the same chip has the same, and goes on from it."""
    chip, wiring = {"matrix": "factored"}, {"matrix": "factored", "mode": mode}
    bench, designed = MeshBench(chip, wiring, taps="field"), MeshBench({**chip, **PERFECT}, wiring, taps="field")
    turns, x = RANDOM.random((3, 36)), RANDOM.uniform(-1, 1, (3, 4))
    assert Capability.INTERNAL_STATE in bench.mesh.capabilities and bench.mesh.state_shapes == ((8,),)
    (state,) = bench.mesh.measure(x, turns).states
    optics = bench.plant.circuit.mesh
    assert isinstance(optics, SvdMesh)
    between = optics.between(torch.from_numpy(bench.mesh.entering(x)), true_phases(bench, turns)).numpy()
    np.testing.assert_allclose(state, np.concatenate([between.real, between.imag], -1), atol=1e-7)
    assert MeshBench(taps="field").mesh.state_shapes == ()

    config = MeshTwinConfig(ports=4, matrix="factored", taps="field", coherent=True, bidirectional=True)
    twin = make_twin(config, interface_of(designed.mesh), dtype=torch.float64)
    measured = designed.mesh.measure(x, turns)
    drive = [torch.from_numpy(part) for part in measured.drive]
    readings = [torch.from_numpy(part) for part in (*measured.states, measured.y)]
    for said, read in stage_by_stage(twin, drive, readings):
        torch.testing.assert_close(said, read, atol=1e-7, rtol=0)
    torch.testing.assert_close(twin(*drive), readings[-1], atol=1e-7, rtol=0)


def test_a_twin_that_is_read_inside_learns_both_meshes() -> None:
    bench = MeshBench({"matrix": "factored"}, {"matrix": "factored"}, ports=2, taps="field")
    measured = bench.mesh.measure(RANDOM.uniform(-1, 1, (400, 2)), RANDOM.random((400, 10)))
    drive, states = ([torch.from_numpy(part) for part in parts] for parts in (measured.drive, measured.states))
    shots = ShotSet(tuple(drive), torch.from_numpy(measured.y), tuple(states))
    config = MeshTwinConfig(ports=2, matrix="factored", taps="field", coherent=True, bidirectional=True)
    twin = make_twin(config, interface_of(bench.mesh), dtype=torch.float64)
    report = fit(twin, shots, FitConfig(learning_rate=0.05, epochs=60, patience=60))
    assert report.r2_total > 0.99
    for said, read in stage_by_stage(twin, drive, (*shots.states, shots.y)):
        assert float((said - read).detach().square().mean() / read.var()) < 0.01


def test_couplers_beyond_all_or_nothing_stay_there() -> None:
    """A fit may lead there; roots of negative powers would make the whole twin NaN."""
    imbalance = nn.Parameter(torch.zeros(6, dtype=torch.float64))
    mesh = InterferometerMesh(4, left_imbalance=imbalance)
    imbalance.data.fill_(1.5)
    phases = torch.zeros(16, dtype=torch.float64)
    for fields_out in (mesh.matrix(phases), mesh_fields(mesh, torch.ones(4, dtype=torch.complex128), phases).out):
        (slope,) = torch.autograd.grad(fields_out.abs().sum(), imbalance)
        assert bool(fields_out.isfinite().all()) and bool(slope.isfinite().all())


@pytest.mark.parametrize("mode", ["waveform", "steps"])
def test_outputs_are_powers_or_fields_in_units_of_inputs(mode: str) -> None:
    turns, x = RANDOM.random(16), RANDOM.uniform(-1, 1, (3, 6))
    given = np.concatenate([x[:, :3] + 1j * x[:, 3:], np.ones((3, 1))], -1)
    for outputs in ("powers", "fields"):
        wiring = {"inputs": "fields", "outputs": outputs, "references": 1, "mode": mode, "input_amplitude": 0.3}
        bench = MeshBench(wiring=wiring)
        u = bench.plant.circuit.mesh.matrix(true_phases(bench, turns)).numpy()
        leaving = given @ u.T
        due = np.abs(leaving) ** 2 if outputs == "powers" else np.concatenate([leaving.real, leaving.imag], -1)
        np.testing.assert_allclose(bench.mesh.measure(x, turns).y, due, atol=1e-7)
        np.testing.assert_allclose(bench.mesh.entering(x), 0.3 * given, atol=1e-12)


def test_a_heater_shifts_by_its_power() -> None:
    """Half a turn needs the voltage of a whole one over the root of two."""
    bench = MeshBench()
    (drive,) = bench.mesh.encode(np.zeros((1, 4)), np.full(16, 2.5))
    np.testing.assert_allclose(drive[0, :16], 4.0 / np.sqrt(2))


def test_a_perfect_chip_is_its_own_twin_and_one_twin_learns_from_another() -> None:
    config = MeshTwinConfig(ports=4, taps="intensity", coherent=True, bidirectional=True)
    bench = MeshBench({"mismatch": 0.0})
    twin = make_twin(config, interface_of(bench.mesh), dtype=torch.float64)
    shots = bench.mesh.measure(RANDOM.uniform(-1, 1, (4, 4)), RANDOM.random(16))
    np.testing.assert_allclose(twin(torch.from_numpy(shots.drive[0])).detach().numpy(), shots.y, atol=1e-12)
    twin(torch.from_numpy(shots.drive[0])).square().sum().backward()
    learned = dict(twin.named_parameters())
    assert "circuit.mesh.phase_error_rad" in learned and "circuit.two_pi_v" in learned
    moved = [name for name, p in learned.items() if p.grad is not None and bool(p.grad.any())]
    assert {"circuit.mesh.phase_error_rad", "circuit.mesh.left_imbalance", "circuit.two_pi_v"} <= set(moved)


def test_the_twins_gradient_at_the_measured_point_is_the_plants() -> None:
    bench = MeshBench({"mismatch": 0.0})
    config = MeshTwinConfig(ports=4, taps="intensity", coherent=True, bidirectional=True)
    layer = PhysicalLayer(bench.mesh, make_twin(config, interface_of(bench.mesh), dtype=torch.float64))
    layer.rule = ForwardRule.MEASURED
    x, weight = torch.rand(3, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64)
    (found,) = torch.autograd.grad((layer(x) * weight).sum(), layer.raw_controls)
    (due,) = torch.autograd.grad((bench.truth([layer], nn.Identity(), x) * weight).sum(), layer.raw_controls)
    torch.testing.assert_close(found, due, rtol=1e-6, atol=1e-9)


def test_capabilities_are_those_of_its_detectors() -> None:
    phases = {Capability.PHASE_CONTROLS}
    both = {Capability.BIDIRECTIONAL, Capability.RECIPROCAL, Capability.FIELD_OUTPUT, Capability.INTERNAL_INTENSITY}
    both |= phases
    assert MeshBench().mesh.capabilities == both
    assert MeshBench(taps="field").mesh.capabilities == both | {Capability.LOCAL_STATE}
    assert MeshBench(FORWARD_ONLY, FORWARD_ONLY).mesh.capabilities == phases


def test_what_cannot_be_sent_is_refused_before_it_is() -> None:
    bench = MeshBench()
    with pytest.raises(SetpointError, match=r"quadratures up to 1\.2 .* nothing was sent"):
        bench.mesh.send(np.full((1, 4), 0.5 - 1.2j), np.zeros(16))
    with pytest.raises(SetpointError, match=r"shape \(1, 3\).*\(batch, 4\)"):
        bench.mesh.send(np.zeros((1, 3), complex), np.zeros(16))
    with pytest.raises(CapabilityError, match="at its outputs, where it has no modulators"):
        MeshBench(FORWARD_ONLY, FORWARD_ONLY).mesh.send(np.zeros((1, 4), complex), np.zeros(16), side=Side.OUT)
    with pytest.raises(SetpointError, match="correct the numbers of ports"):
        MeshBench(FORWARD_ONLY)
    assert bench.mesh.n_shots == 0


@pytest.mark.parametrize(
    ("wiring", "message"),
    [({"coherent": False}, "set `coherent` to true"), ({"references": 4}, "leave one for inputs")],
)
def test_wirings_that_contradict_themselves_are_refused(wiring: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MeshBench(wiring=wiring)
