"""Interferometer meshes beside dense products of 2 x 2 matrices, and as instruments that can be set to any unitary."""

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from pnnlab.physics import Arrangement, InterferometerMesh, mesh_fields

BOTH: list[Arrangement] = ["clements", "reck"]


def imperfect(n: int, arrangement: Arrangement, **more: Tensor | float) -> InterferometerMesh:
    generator = torch.Generator().manual_seed(n)
    probe = InterferometerMesh(n, arrangement)

    def xi(size: int) -> Tensor:
        return 0.1 * torch.randn(size, generator=generator, dtype=torch.float64)

    errors = {
        "left_imbalance": xi(probe.n_mzis), "right_imbalance": xi(probe.n_mzis),
        "phase_error_rad": xi(probe.n_phases), "loss_db": xi(probe.n_mzis).abs(),
    }  # fmt: skip
    return InterferometerMesh(n, arrangement, **(errors | more))  # type: ignore[arg-type]


def dense(mesh: InterferometerMesh, phases: Tensor) -> npt.NDArray[np.complex128]:
    """Multiply matrices of the full size, one a component."""
    real = (phases + mesh.phase_error_rad).numpy()
    u = np.eye(mesh.n_ports, dtype=complex)
    for k, (_, port) in enumerate(mesh.places):
        couplers = [
            np.array([[math.sqrt(1 + e), 1j * math.sqrt(1 - e)], [1j * math.sqrt(1 - e), math.sqrt(1 + e)]]) / 2**0.5
            for e in (float(mesh.left_imbalance[k]), float(mesh.right_imbalance[k]))
        ]
        shifters = [np.diag([np.exp(1j * real[at]), 1]) for at in (mesh.n_mzis + k, k)]
        whole = np.eye(mesh.n_ports, dtype=complex)
        loss = 10 ** (-float(mesh.loss_db[k]) / 20)
        whole[port : port + 2, port : port + 2] = loss * couplers[1] @ shifters[1] @ couplers[0] @ shifters[0]
        u = whole @ u
    return np.diag(np.exp(1j * real[2 * mesh.n_mzis :])) @ u


@pytest.mark.parametrize(("n", "arrangement"), list(itertools.product([2, 3, 6, 7], BOTH)))
def test_columns_are_products_of_two_by_two_matrices(n: int, arrangement: Arrangement) -> None:
    mesh = imperfect(n, arrangement)
    assert mesh.n_mzis == n * (n - 1) // 2
    phases = 2 * math.pi * torch.rand(mesh.n_phases, dtype=torch.float64)
    np.testing.assert_allclose(mesh.matrix(phases).numpy(), dense(mesh, phases), atol=1e-12)
    field = torch.randn(5, n, dtype=torch.complex128)
    np.testing.assert_allclose(mesh(field, phases).numpy(), field.numpy() @ dense(mesh, phases).T, atol=1e-12)
    each = torch.stack([phases, phases + 0.1])
    torch.testing.assert_close(mesh(field[:2], each)[1], mesh(field[1], each[1]))


@pytest.mark.parametrize("arrangement", BOTH)
def test_gradients_are_those_of_finite_differences(arrangement: Arrangement) -> None:
    mesh = imperfect(4, arrangement, crosstalk=torch.tensor(0.05, dtype=torch.float64))
    phases = torch.rand(2, mesh.n_phases, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(mesh.matrix, (phases,), check_forward_ad=True)


@pytest.mark.parametrize(("n", "arrangement"), list(itertools.product([2, 3, 8, 9], BOTH)))
def test_it_can_be_set_to_any_unitary_matrix(n: int, arrangement: Arrangement) -> None:
    generator = torch.Generator().manual_seed(n)
    unitary, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.complex128, generator=generator))
    mesh = InterferometerMesh(n, arrangement)
    torch.testing.assert_close(mesh.matrix(mesh.program(unitary)), unitary, atol=1e-12, rtol=0)


def test_without_loss_no_light_is_lost_and_with_it_each_path_pays_for_its_interferometers() -> None:
    mesh = InterferometerMesh(6, left_imbalance=0.1, right_imbalance=-0.05, crosstalk=0.1)
    phases = torch.rand(mesh.n_phases)
    u = mesh.matrix(phases)
    torch.testing.assert_close(u.mH @ u, torch.eye(6, dtype=u.dtype), atol=1e-6, rtol=0)
    lossy = InterferometerMesh(6, loss_db=1.0).matrix(phases).abs().square().sum(0)
    # light in the middle meets an interferometer in each of six columns, at the rim in as few as three
    assert all(10 ** (-0.6) - 1e-6 <= float(part) <= 10 ** (-0.3) + 1e-6 for part in lossy)


def test_crosstalk_reaches_the_next_interferometers_alone() -> None:
    mesh, ideal = InterferometerMesh(6, crosstalk=0.25), InterferometerMesh(6)
    phases = torch.zeros(mesh.n_phases)
    at = mesh.places.index((2, 2))
    phases[at] = 1.0
    spread = phases.clone()
    for place in ((2, 0), (2, 4), (0, 2), (4, 2)):
        spread[mesh.places.index(place)] = 0.25
    torch.testing.assert_close(mesh.matrix(phases), ideal.matrix(spread))


def test_what_no_mesh_can_be_is_refused() -> None:
    with pytest.raises(ValueError, match="1 ports"):
        InterferometerMesh(1)
    with pytest.raises(ValueError, match=r"left_imbalance is beyond ±1"):
        InterferometerMesh(4, left_imbalance=1.5)
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 16\)"):
        InterferometerMesh(4).matrix(torch.zeros(15))
    with pytest.raises(ValueError, match="expected a unitary matrix"):
        InterferometerMesh(4).program(torch.ones(4, 4, dtype=torch.complex128))


def test_a_table_by_columns_is_cut_to_the_interferometers() -> None:
    mesh = InterferometerMesh(4)
    grid = torch.arange(8.0).reshape(4, 2)
    assert mesh.scatter(grid).tolist() == [0, 1, 2, 4, 5, 6]


@pytest.mark.parametrize("arrangement", BOTH)
def test_peer_sax_solves_the_same_netlist(arrangement: Arrangement) -> None:
    """SAX joins scattering matrices of couplers and phase shifters by a netlist; it knows nothing of columns."""
    sax = pytest.importorskip("sax", reason="the peer is not installed")
    import jax.numpy as jnp

    def coupler(imbalance: float = 0.0) -> object:
        through, across = jnp.sqrt((1 + imbalance) / 2), 1j * jnp.sqrt((1 - imbalance) / 2)
        ports = {("in0", "out0"): through, ("in0", "out1"): across, ("in1", "out0"): across, ("in1", "out1"): through}
        return sax.reciprocal(ports)

    def shifter(phase: float = 0.0) -> object:
        return sax.reciprocal({("in0", "out0"): jnp.exp(1j * phase)})

    n, mesh = 4, imperfect(4, arrangement, loss_db=0.0)
    phases = 2 * math.pi * torch.rand(mesh.n_phases, dtype=torch.float64)
    real = (phases + mesh.phase_error_rad).numpy()
    instances = {f"start{port}": "shifter" for port in range(n)} | {f"end{port}": "shifter" for port in range(n)}
    heads = {port: f"start{port},out0" for port in range(n)}
    settings: dict[str, dict[str, float]] = {f"end{p}": {"phase": real[2 * mesh.n_mzis + p]} for p in range(n)}
    connections: dict[str, str] = {}
    for k, (_, port) in enumerate(mesh.places):
        instances |= {f"phi{k}": "shifter", f"left{k}": "coupler", f"theta{k}": "shifter", f"right{k}": "coupler"}
        connections |= {
            heads[port]: f"phi{k},in0", f"phi{k},out0": f"left{k},in0", heads[port + 1]: f"left{k},in1",
            f"left{k},out0": f"theta{k},in0", f"theta{k},out0": f"right{k},in0", f"left{k},out1": f"right{k},in1",
        }  # fmt: skip
        heads[port], heads[port + 1] = f"right{k},out0", f"right{k},out1"
        settings |= {
            f"phi{k}": {"phase": real[mesh.n_mzis + k]}, f"theta{k}": {"phase": real[k]},
            f"left{k}": {"imbalance": float(mesh.left_imbalance[k])},
            f"right{k}": {"imbalance": float(mesh.right_imbalance[k])},
        }  # fmt: skip
    connections |= {heads[port]: f"end{port},in0" for port in range(n)}
    ports = {f"in{port}": f"start{port},in0" for port in range(n)} | {f"out{p}": f"end{p},out0" for p in range(n)}
    netlist = {"instances": instances, "connections": connections, "ports": ports}
    circuit, _ = sax.circuit(netlist=netlist, models={"coupler": coupler, "shifter": shifter})
    found = sax.sdict(circuit(**settings))
    solved = [[complex(found[f"in{column}", f"out{row}"]) for column in range(n)] for row in range(n)]
    np.testing.assert_allclose(mesh.matrix(phases).numpy(), np.array(solved), atol=1e-5)  # SAX is in single precision
    # its ports know no direction: the same netlist solved backwards is what our light meets that comes from the outputs
    back = [[complex(found[f"out{column}", f"in{row}"]) for column in range(n)] for row in range(n)]
    found_back = mesh_fields(mesh, torch.eye(n, dtype=torch.complex128), phases, backward=True).out.mT
    np.testing.assert_allclose(found_back.numpy(), np.array(back), atol=1e-5)
