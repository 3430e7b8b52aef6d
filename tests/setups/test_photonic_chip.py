"""The chip of the dual-adaptive-training table: perfect, it is its twin; its errors are those that were published."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pnnlab.methods import MeasuredActivations, PhysicsAware, Setting, backward, physical_layers
from pnnlab.nn import ForwardRule
from pnnlab.physics import InterferometerMesh
from scripts.setups.photonic_chip import (
    PORTS,
    Errors,
    Frequencies,
    PushPullMesh,
    chip,
    read_errors,
    read_phases,
    start_phases,
)


@pytest.fixture(scope="module")
def start() -> torch.Tensor:
    return start_phases(0)


def published(folder: Path) -> Path:
    """Write tables of the published shape: each number tells mesh, column and row."""
    for mesh in range(3):
        table = 1e-2 * mesh + 1e-4 * np.arange(64)[:, None] + 1e-6 * np.arange(32)
        for name in ("bsE0.06_mesh{}_e_l", "bsE0.06_mesh{}_e_r"):
            np.save(folder / name.format(mesh), table)
    return folder


def test_errors_find_their_interferometers(tmp_path: Path) -> None:
    errors = read_errors(published(tmp_path), splitters=True, shifters=False)
    # columns of 32 and 31 interferometers in turn: the last of column 1 is number 62
    assert float(errors.left[2][62]) == pytest.approx(2e-2 + 1e-4 + 30e-6)
    assert len(errors.left[0]) == PORTS * (PORTS - 1) // 2 and float(errors.phi_rad[0].abs().max()) == 0


def test_shifters_lie_where_the_source_has_them(tmp_path: Path) -> None:
    """Against the product of the columns' matrices, written out: γ, left couplers, ±θ/2, right couplers, φ above."""
    rng, perfect = np.random.default_rng(1), InterferometerMesh(PORTS)
    theta, phi, left, right = (rng.uniform(0, 1, (PORTS, PORTS // 2)) for _ in range(4))
    gamma = rng.uniform(0, 1, PORTS)
    expected = np.diag(np.exp(1j * gamma))
    for c, (first, n) in enumerate(perfect.columns):
        column = np.eye(PORTS, dtype=complex)
        for guide in {0, PORTS - 1} if first else set():
            column[guide, guide] = -1j  # what goes by alone is an interferometer in its bar state to the source
        for k in range(n):
            half, outer = np.exp(0.5j * theta[c, k]), np.exp(1j * phi[c, k])
            couplers = [
                np.array([[np.sqrt(1 + e), 1j * np.sqrt(1 - e)], [1j * np.sqrt(1 - e), np.sqrt(1 + e)]]) / np.sqrt(2)
                for e in (left[c, k], right[c, k])
            ]
            at = first + 2 * k
            cell = np.diag([outer, 1]) @ couplers[1] @ np.diag([half, half.conj()]) @ couplers[0]
            column[at : at + 2, at : at + 2] = cell
        expected = column @ expected

    tables = {"theta": torch.from_numpy(theta), "phi": torch.from_numpy(phi), "gamma": torch.from_numpy(gamma)[None]}
    torch.save({f"RM_block{k}.{name}": t for k in range(3) for name, t in tables.items()}, tmp_path / "train.pth")
    phases = 2 * np.pi * read_phases(tmp_path / "train.pth")[0]
    flat = [perfect.scatter(torch.from_numpy(table).float()) for table in (left, right)]
    mesh = PushPullMesh(*flat, torch.full((perfect.n_phases,), 0.1))
    found = mesh(torch.eye(PORTS, dtype=torch.complex64), phases - 0.1).mT
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)
    torch.testing.assert_close(mesh.two_sided(mesh.single_sided(phases)), phases.double(), atol=1e-4, rtol=0)


def test_a_perfect_chip_is_its_twin_and_has_its_gradient(start: torch.Tensor, tmp_path: Path) -> None:
    """Read inside or not, replayed or not: where nothing differs, all gradients are one."""
    images, classes = torch.rand(6, 784), torch.arange(6)
    found = []
    for method, inside in ((PhysicsAware(), False), (PhysicsAware(), True), (MeasuredActivations(), True)):
        model, _ = chip(Errors.none(), start, read_inside=inside)
        method.prepare(model, Setting(784, 10, 1, 1e-3))
        (layer,) = physical_layers(model)
        backward(model, images, classes, torch.nn.functional.cross_entropy)
        assert layer.raw_controls.grad is not None
        found.append(layer.raw_controls.grad)
        with torch.no_grad():
            measured = model(images)
            layer.rule = ForwardRule.TWIN
            torch.testing.assert_close(model(images), measured, atol=1e-5, rtol=0)
    for gradient in found[1:]:
        assert float((gradient - found[0]).norm() / found[0].norm()) < 1e-4


def test_images_enter_as_complex_amplitudes_of_mean_modulus_one() -> None:
    real, imaginary = Frequencies()(torch.rand(3, 784)).split(PORTS, 1)
    torch.testing.assert_close(torch.complex(real, imaginary).abs().mean(1), torch.ones(3))
