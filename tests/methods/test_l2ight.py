"""Subspace learning on two meshes with attenuators: bases by zeroth order, exact gradients of singular values."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from pnnlab.errors import CapabilityError
from pnnlab.methods import L2ight, L2ightOptions
from pnnlab.methods._basis_search import Bases, BasisSearch
from pnnlab.nn import PhysicalLayer, interface_of
from pnnlab.physics import SvdMesh
from pnnlab.twins import MeshTwinConfig, make_twin
from scripts.setups.mesh_bench import MeshBench
from tests.methods.set_ups import setting

PORTS = 3
LOSS = {"coupler_loss_db": 0.2, "guide_loss_db": 0.1}


def factored(**chip: object) -> MeshBench:
    return MeshBench({"matrix": "factored", **chip}, {"matrix": "factored"}, ports=PORTS, taps="field")


def search(bench: MeshBench) -> BasisSearch:
    return BasisSearch(bench.mesh, torch.Generator().manual_seed(0))


def agreement(found: Bases, wanted: Bases) -> float:
    pairs = ((found.first, wanted.first), (found.last, wanted.last))
    return min(float(np.vdot(one, other).real) / PORTS for one, other in pairs)


def present(bench: MeshBench, turns: np.ndarray) -> Bases:  # type: ignore[type-arg]
    (first,), (last,) = search(bench).measured(turns[None])
    return Bases(first, np.zeros(PORTS), last)


@pytest.mark.parametrize("losses", [{}, LOSS], ids=str)
def test_the_gradient_of_attenuators_is_exact_with_any_loss_and_bases_stay(losses: dict[str, float]) -> None:
    bench = factored(**losses)
    (layer,) = bench.layers()
    method = L2ight(L2ightOptions(offline=0.0))
    method.prepare(nn.Sequential(layer), setting())
    adjoint = layer.adjoint
    optics = bench.plant.circuit.mesh
    assert isinstance(optics, SvdMesh)
    adjoint.offset = optics.attenuator_error_rad.numpy() / (2 * math.pi)  # type: ignore[union-attr]
    x = (2 * torch.rand(4, PORTS, dtype=torch.float64) - 1).requires_grad_()
    weight = torch.randn(4, PORTS, dtype=torch.float64)
    found, back = torch.autograd.grad((weight * layer(x)).sum(), (layer.raw_controls, x))
    truth = (weight * bench.truth([layer], nn.Identity(), x)).sum()
    exact, forth = torch.autograd.grad(truth, (layer.raw_controls, x))
    middle = slice(PORTS**2, PORTS**2 + PORTS)
    torch.testing.assert_close(found[middle], exact[middle], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(back, forth, rtol=1e-9, atol=1e-12)
    assert not found[: PORTS**2].any() and not found[PORTS**2 + PORTS :].any()


def test_bases_are_found_on_a_chip_of_which_nothing_is_known() -> None:
    bench, design = factored(coupler_error=0.03), SvdMesh.design(PORTS)
    wanted = torch.rand(2 * PORTS**2 + PORTS, generator=torch.Generator().manual_seed(3), dtype=torch.float64).numpy()
    target = Bases.of(design, wanted)
    np.testing.assert_allclose(target.matrix, design.matrix(2 * math.pi * torch.from_numpy(wanted)).numpy(), atol=1e-12)
    before = agreement(present(bench, wanted), target)
    shots = bench.mesh.n_shots
    found = search(bench).improve(wanted, target, sweeps=5)
    assert bench.mesh.n_shots - shots == 5 * PORTS**2 * 3 * 2 * PORTS  # three settings, every port of both sides
    assert before < 0.8 and agreement(present(bench, found), target) > 0.9


def test_hidden_phases_of_attenuators_and_their_loss_are_found() -> None:
    bench = factored(**LOSS)
    optics = bench.plant.circuit.mesh
    assert isinstance(optics, SvdMesh)
    off, height = search(bench).attenuators(np.full(2 * PORTS**2 + PORTS, 0.3))
    wrong = off - optics.attenuator_error_rad.numpy() / (2 * math.pi)
    np.testing.assert_allclose(wrong - np.rint(wrong), 0, atol=1e-6)
    np.testing.assert_allclose(height, 1, atol=1e-6)


def test_all_three_stages() -> None:
    """Trained in the twin, brought onto the chip, and better still for what was learned there: the bases stay."""
    bench = factored(coupler_error=0.05)
    config = MeshTwinConfig(ports=PORTS, matrix="factored", taps="field", coherent=True, bidirectional=True)
    generator = torch.Generator().manual_seed(5)
    start = torch.rand(bench.mesh.n_controls, generator=generator, dtype=torch.float64)
    twin = make_twin(config, interface_of(bench.mesh), dtype=torch.float64)
    twin.freeze()
    layer = PhysicalLayer(bench.mesh, twin, controls=start)
    x, target = torch.rand(2, 16, PORTS, generator=generator, dtype=torch.float64)
    method = L2ight(L2ightOptions(offline=0.5, calibration_sweeps=2, mapping_sweeps=5))
    method.prepare(model := nn.Sequential(layer), setting(60))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)

    def step() -> float:
        return method.step(model, x, target, nn.functional.mse_loss, optimiser)["loss"]

    offline = [step() for _ in range(30)]
    assert bench.mesh.n_shots == 0 and offline[-1] < offline[0]
    with torch.no_grad():
        method.deploy(model)
        unmapped = float(nn.functional.mse_loss(layer(x), target))
    mapped = step()
    bases = layer.raw_controls.detach().clone()
    learned = [step() for _ in range(29)]
    moved = layer.raw_controls.detach() != bases
    assert mapped < unmapped and learned[-1] < mapped
    assert moved.nonzero().ravel().tolist() == list(range(PORTS**2, PORTS**2 + PORTS))


def test_sparse_steps_measure_less() -> None:
    bench = factored()
    (layer,) = bench.layers()
    options = L2ightOptions(offline=0.0, calibration_sweeps=0, mapping_sweeps=0, kept_errors=0.5, kept_steps=0.3)
    method = L2ight(options)
    method.prepare(model := nn.Sequential(layer), setting(20))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    x, target = torch.rand(2, 2, PORTS, dtype=torch.float64)
    method.step(model, x, target, nn.functional.mse_loss, optimiser)
    shots = bench.mesh.n_shots
    for _ in range(20):
        assert math.isfinite(method.step(model, x, target, nn.functional.mse_loss, optimiser)["loss"])
    used = (bench.mesh.n_shots - shots) / 4
    assert used == int(used) and 1 <= used <= 12


def test_a_chip_of_one_mesh_is_no_product() -> None:
    with pytest.raises(CapabilityError, match="two meshes"):
        L2ight(L2ightOptions(offline=0.0)).prepare(nn.Sequential(*MeshBench(taps="field").layers()), setting())
