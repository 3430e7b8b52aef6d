import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
import torch
from torch import Tensor, nn

from pnnlab.errors import SetpointError
from pnnlab.physics import (
    Crossbar,
    DifferentialPair,
    Wires,
    conductance_at,
    effective_conductance,
    memristor_preset,
    multiply,
    program,
    read_noise_std,
)

US = 1e-6
PCM = memristor_preset("pcm-nandakumar-2019")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def conductances(n_rows: int, n_cols: int, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return (1.0 + 99.0 * torch.rand(n_rows, n_cols, generator=seeded(seed), dtype=dtype)) * US


def volts(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return 0.4 * torch.rand(*shape, generator=seeded(seed), dtype=dtype) - 0.2


def per_cell(v: Tensor, g: Tensor, std: Tensor, generator: torch.Generator) -> Tensor:
    """One read with a noisy conductance drawn for every cell and sample: what `multiply` sums up in one draw."""
    noise = torch.randn(v.shape[0], *g.shape, generator=generator, dtype=g.dtype)
    return torch.einsum("bi,bij->bj", v, g + std * noise)


def nodal_matrix(g: Tensor, wires: Wires) -> tuple[np.ndarray, np.ndarray]:
    """The terminals' matrices, rows driven and columns driven, by one sparse LU of Kirchhoff's equations."""
    n, m = g.shape
    row, column = 1.0 / wires.row_ohm, 1.0 / wires.column_ohm
    top = np.arange(n * m).reshape(n, m)
    foot = top + n * m
    pairs = [
        (top.ravel(), foot.ravel(), g.numpy().ravel()),
        (top[:, :-1].ravel(), top[:, 1:].ravel(), np.full(n * (m - 1), row)),
        (foot[:-1].ravel(), foot[1:].ravel(), np.full((n - 1) * m, column)),
    ]
    a, b, value = (np.concatenate(part) for part in zip(*pairs, strict=True))
    rows = np.concatenate((a, b, a, b, top[:, 0], foot[-1]))
    cols = np.concatenate((a, b, b, a, top[:, 0], foot[-1]))
    data = np.concatenate((value, value, -value, -value, np.full(n, row), np.full(m, column)))
    lu = sla.splu(sp.csc_matrix((data, (rows, cols)), shape=(2 * n * m, 2 * n * m)))
    drive_rows, drive_columns = np.zeros((2 * n * m, n)), np.zeros((2 * n * m, m))
    drive_rows[top[:, 0], np.arange(n)] = row
    drive_columns[foot[-1], np.arange(m)] = column
    return column * lu.solve(drive_rows)[foot[-1]].T, row * lu.solve(drive_columns)[top[:, 0]].T


SHAPES = [(16, 16), (9, 20), (20, 9), (1, 7), (7, 1), (1, 1)]
WIRES = [Wires(1.0, 1.0), Wires(1e-3, 1e-3), Wires(10.0, 3.0), Wires(0.5, 200.0), Wires(1e4, 1e-2)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("wires", WIRES, ids=str)
def test_wires_are_exact(shape: tuple[int, int], wires: Wires) -> None:
    g = conductances(*shape)
    rows_driven, columns_driven = nodal_matrix(g, wires)
    crossbar = Crossbar(g, wires=wires)
    # both are direct solutions in double precision; the sparse one loses digits where wires conduct 1e8 times
    # better than cells
    np.testing.assert_allclose(crossbar.effective_conductance().numpy(), rows_driven, rtol=1e-9, atol=1e-9 * US)
    v, u = volts(3, shape[0]), volts(3, shape[1])
    np.testing.assert_allclose(crossbar(v).numpy(), v.numpy() @ rows_driven, rtol=1e-8, atol=1e-15)
    np.testing.assert_allclose(crossbar.transposed(u).numpy(), u.numpy() @ columns_driven, rtol=1e-8, atol=1e-15)


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (2, 3, 3), (1, 3), (3, 1)], ids=str)
def test_derivative_of_the_wires_is_that_of_finite_differences(shape: tuple[int, ...]) -> None:
    # conductances near 1 S and wires near 1 ohm: the same equations as at 1 uS and 1 Mohm, at gradcheck's scale
    g = (0.1 + torch.rand(shape, generator=seeded(), dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda g: effective_conductance(g, Wires(0.3, 0.7)), (g,), check_forward_ad=True)


def test_a_second_derivative_of_the_wires_is_refused() -> None:
    g = conductances(3, 3).requires_grad_()
    total = effective_conductance(g, Wires(1.0, 1.0)).sum()
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(total, g, create_graph=True)


def test_wires_vanish_with_their_resistance() -> None:
    g = conductances(8, 8)
    losses = [(1.0 - effective_conductance(g, Wires(r, r)) / g).abs().max().item() for r in (1e-2, 1e-3)]
    assert losses[0] == pytest.approx(10.0 * losses[1], rel=1e-2)
    assert losses[1] < 1e-5


def test_a_perfect_cell_and_an_open_one_are_allowed() -> None:
    g = torch.zeros(2, 2, dtype=torch.float64)
    assert effective_conductance(g, Wires(1.0, 1.0)).abs().max() == 0.0
    g[0, 0] = 1e9  # a short: what is left is wire, 1 ohm of the row and 2 ohm of the column
    assert effective_conductance(g, Wires(1.0, 1.0))[0, 0].item() == pytest.approx(1.0 / 3.0, rel=1e-8)


def test_single_precision_keeps_its_type() -> None:
    g = conductances(6, 5)
    single = effective_conductance(g.float(), Wires(5.0, 5.0))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), effective_conductance(g, Wires(5.0, 5.0)), rtol=1e-6, atol=0.0)


def test_multiplies_by_ohms_and_kirchhoffs_laws() -> None:
    v, g = torch.tensor([[0.1, 0.2], [0.0, -0.1]]), torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) * US
    expected = torch.tensor([[0.9, 1.2, 1.5], [-0.4, -0.5, -0.6]]) * US
    torch.testing.assert_close(multiply(v, g), expected, rtol=1e-6, atol=0.0)


def test_summed_noise_has_the_distribution_of_noisy_cells() -> None:
    n_draws = 20_000
    g = conductances(12, 5)
    std = 0.05 * g + 0.5 * US
    v = volts(1, 12).expand(n_draws, 12)
    summed = multiply(v, g, read_variance=std**2, generator=seeded(2))
    single = per_cell(v, g, std, seeded(3))
    exact_mean, exact_std = (v[:1] @ g)[0], ((v[:1] ** 2) @ std**2).sqrt()[0]
    for found in (summed, single):
        # five standard errors of a mean, a standard deviation and a kurtosis
        assert ((found.mean(0) - exact_mean).abs() < 5.0 * exact_std / math.sqrt(n_draws)).all()
        assert ((found.std(0) / exact_std - 1.0).abs() < 5.0 / math.sqrt(2.0 * n_draws)).all()
        kurtosis = ((found - exact_mean) ** 4).mean(0) / exact_std**4
        assert ((kurtosis - 3.0).abs() < 5.0 * math.sqrt(24.0 / n_draws) * 2.0).all()
        # columns share no cell, so their noises share nothing
        correlation = torch.corrcoef(found.mT) - torch.eye(5)
        assert (correlation.abs() < 5.0 / math.sqrt(n_draws)).all()


def test_noise_is_fresh_for_every_sample_and_repeats_with_the_seed() -> None:
    g, v = conductances(12, 5), volts(4, 12)[:1].expand(4, 12)
    noisy = multiply(v, g, read_variance=(0.05 * g) ** 2, generator=seeded(2))
    assert noisy.unique(dim=0).shape[0] == 4
    assert torch.equal(noisy, multiply(v, g, read_variance=(0.05 * g) ** 2, generator=seeded(2)))
    assert torch.equal(multiply(v, g, read_variance=(0.05 * g) ** 2), v @ g)


def test_noisy_product_is_differentiable_even_without_a_drive() -> None:
    g = (torch.rand(3, 4, generator=seeded(), dtype=torch.float64) + 0.1).requires_grad_()
    variance = (0.1 * g.detach()) ** 2
    v = volts(2, 3).requires_grad_()

    def read(v: Tensor, g: Tensor) -> Tensor:
        return multiply(v, g, read_variance=variance, generator=seeded(4))

    assert torch.autograd.gradcheck(read, (v, g))
    still = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    read(still, g).sum().backward()
    assert still.grad is not None
    torch.testing.assert_close(still.grad, g.sum(1).expand(2, 3))


def test_a_crossbar_reads_both_ways() -> None:
    g = conductances(6, 4)
    crossbar = Crossbar(g, read_std_siemens=0.1 * g)
    v, u = volts(5, 6), volts(5, 4)
    torch.testing.assert_close(crossbar(v), v @ g)
    torch.testing.assert_close(crossbar.transposed(u), u @ g.mT)
    n_draws = 20_000
    noise = crossbar.transposed(u[:1].expand(n_draws, 4), seeded()) - u[:1] @ g.mT
    expected = ((u[:1] ** 2) @ (0.01 * g**2).mT).sqrt()[0]
    assert ((noise.std(0) / expected - 1.0).abs() < 5.0 / math.sqrt(2.0 * n_draws)).all()


@pytest.mark.parametrize(("ohm", "within"), [(1.0, 0.05), (5.0, 0.15)])
def test_read_noise_behind_wires_is_right_to_first_order(ohm: float, within: float) -> None:
    wires, n_draws = Wires(ohm, ohm), 20_000
    g, v = conductances(32, 32), volts(1, 32).abs()
    std = 0.03 * g
    # cells that scatter by 3 % scatter the currents as their slopes say, but for the square of that
    slopes = torch.autograd.functional.jacobian(lambda cells: (v @ effective_conductance(cells, wires))[0], g)
    exact = (slopes**2 * std**2).sum((1, 2)).sqrt()
    crossbar = Crossbar(g, read_std_siemens=std, wires=wires)
    found = (crossbar(v.expand(n_draws, 32), seeded(6)) - crossbar(v)).std(0)
    # the statement of the class docstring, and five standard errors of a standard deviation
    assert ((found / exact - 1.0).abs() < within + 5.0 / math.sqrt(2.0 * n_draws)).all()


def test_wires_are_solved_once_for_the_same_conductances() -> None:
    crossbar = Crossbar(conductances(5, 5), wires=Wires(1.0, 1.0))
    first = crossbar.effective_conductance()
    assert crossbar.effective_conductance() is first
    with torch.inference_mode():
        assert crossbar.effective_conductance() is first
    with torch.no_grad():
        crossbar.conductance_siemens.mul_(2.0)
    second = crossbar.effective_conductance()
    torch.testing.assert_close(second, effective_conductance(crossbar.conductance_siemens, Wires(1.0, 1.0)))
    assert not torch.allclose(second, first, rtol=0.1)


@pytest.mark.parametrize("n_writes", [1, 2, 3])
def test_a_deep_copy_notices_its_own_changes(n_writes: int) -> None:
    crossbar = Crossbar(conductances(4, 4), wires=Wires(1.0, 1.0))
    for _ in range(2):
        crossbar.conductance_siemens.mul_(0.5)
    crossbar.effective_conductance()
    other = copy.deepcopy(crossbar)
    for _ in range(n_writes):
        other.conductance_siemens.mul_(2.0)
    expected = effective_conductance(other.conductance_siemens, Wires(1.0, 1.0))
    torch.testing.assert_close(other.effective_conductance(), expected)


def test_a_solution_found_in_inference_mode_serves_training() -> None:
    crossbar = Crossbar(conductances(5, 5), wires=Wires(1.0, 1.0))
    with torch.inference_mode():
        crossbar.effective_conductance()
    v = volts(2, 5).requires_grad_()
    crossbar(v).sum().backward()
    assert v.grad is not None


def test_a_twin_learns_conductances_behind_wires() -> None:
    truth, wires = conductances(6, 5), Wires(20.0, 20.0)
    v = volts(32, 6)
    target = Crossbar(truth, wires=wires)(v)
    twin = Crossbar(nn.Parameter(torch.full((6, 5), 50.0 * US, dtype=torch.float64)), wires=wires)
    assert [name for name, _ in twin.named_parameters()] == ["conductance_siemens"]
    optimiser = torch.optim.Adam(twin.parameters(), lr=2.0 * US)
    losses = []
    for _ in range(150):
        optimiser.zero_grad()
        loss = ((twin(v) - target) / US).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 1e-3 * losses[0]
    assert (twin.conductance_siemens - truth).abs().max() < 3.0 * US


def test_cells_are_loaded_as_they_drift() -> None:
    target = torch.rand(6, 7, generator=seeded(), dtype=torch.float64) * 20.0 * US + US
    cells = program(target, PCM, seeded())
    crossbar = Crossbar.from_cells(cells, wires=Wires(1.0, 1.0))
    early = crossbar.effective_conductance()
    torch.testing.assert_close(crossbar.conductance_siemens, cells.g_siemens)
    crossbar.load(cells, 3600.0)
    torch.testing.assert_close(crossbar.conductance_siemens, conductance_at(cells, 3600.0))
    assert crossbar.read_variance is not None
    torch.testing.assert_close(crossbar.read_variance, read_noise_std(cells, 3600.0) ** 2)
    assert (crossbar.effective_conductance() < early).all()
    assert torch.equal(cells.g_siemens, program(target, PCM, seeded()).g_siemens), "cells are values"
    quiet = program(target, replace(PCM, read_noise=None), seeded())
    crossbar.load(quiet, 0.0)
    v = volts(2, 6)
    assert torch.equal(crossbar(v, seeded()), crossbar(v))
    with pytest.raises(ValueError, match=r"cells have shape \(2, 7\), expected \(6, 7\)"):
        crossbar.load(program(target[:2], PCM, seeded()), 0.0)


def test_state_is_saved_and_restored() -> None:
    g = conductances(4, 4)
    crossbar = Crossbar(g, read_std_siemens=0.1 * g, wires=Wires(1.0, 1.0))
    other = Crossbar(2.0 * g, read_std_siemens=0.3 * g, wires=Wires(1.0, 1.0))
    other(volts(1, 4))
    other.load_state_dict(crossbar.state_dict())
    v = volts(3, 4)
    assert torch.equal(other(v, seeded()), crossbar(v, seeded()))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_runs_on_a_gpu() -> None:
    g, v = conductances(12, 20), volts(4, 12)
    crossbar = Crossbar(g, wires=Wires(2.0, 2.0))
    expected = crossbar(v)
    torch.testing.assert_close(crossbar.cuda()(v.cuda()).cpu(), expected, rtol=1e-9, atol=0.0)


def test_a_pair_of_cells_carries_a_signed_weight() -> None:
    pair = DifferentialPair.of(memristor_preset("rram-milo-2021"))
    weight = 2.0 * torch.rand(30, 20, generator=seeded(), dtype=torch.float64) - 1.0
    g_plus, g_minus = pair.conductances(weight)
    torch.testing.assert_close(pair.weights(g_plus, g_minus), weight, rtol=1e-12, atol=1e-12)
    assert (torch.minimum(g_plus, g_minus) == pair.g_min_siemens).all()
    v = volts(5, 30)
    current = multiply(v, pair.columns(weight))
    torch.testing.assert_close(pair.difference(current), v @ weight, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_pair_stays_in_the_window(dtype: torch.dtype) -> None:
    for name in ("rram-milo-2021", "pcm-nandakumar-2019", "rram-falcone-2025-2pct", "pcm-hermes-2023-one-device"):
        model = memristor_preset(name)
        weight = torch.linspace(-1.0, 1.0, 2001, dtype=dtype).unsqueeze(0)
        exact = replace(model, programming_scale=0.0)
        for g in DifferentialPair.of(model).conductances(weight):
            # `program` refuses what lies outside
            assert not program(g, exact, seeded()).outside.any()


def test_a_weight_of_zero_still_learns() -> None:
    pair = DifferentialPair(1.0 * US, 5.0 * US)
    weight = torch.tensor([[0.0, 0.3, -0.3]], dtype=torch.float64, requires_grad=True)
    pair.weights(*pair.conductances(weight)).sum().backward()
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, torch.ones(1, 3, dtype=torch.float64))


@pytest.mark.parametrize("bad", [1.01, -2.0, math.nan])
def test_a_weight_outside_is_refused(bad: float) -> None:
    with pytest.raises(SetpointError, match="1 of 2 weights"):
        DifferentialPair(0.0, US).conductances(torch.tensor([0.5, bad]))


def test_wrong_values_are_named() -> None:
    g = conductances(3, 3)
    with pytest.raises(ValueError, match="segments have 0 ohm"):
        Wires(0.0, 1.0)
    with pytest.raises(ValueError, match="window is 2e-06 S to 1e-06 S"):
        DifferentialPair(2.0 * US, 1.0 * US)
    with pytest.raises(ValueError, match=r"conductances have shape \(3,\)"):
        Crossbar(g[0])
    with pytest.raises(ValueError, match=r"conductances have shape \(3,\)"):
        effective_conductance(g[0], Wires(1.0, 1.0))
    for bad in (-US, math.nan):
        wrong = g.clone()
        wrong[1, 1] = bad
        with pytest.raises(ValueError, match="conductances span"):
            Crossbar(wrong)
        with pytest.raises(ValueError, match="conductances span"):
            effective_conductance(wrong, Wires(1.0, 1.0))
    with pytest.raises(ValueError, match=r"read noise has shape \(2, 3\).*expected shape \(3, 3\)"):
        Crossbar(g, read_std_siemens=g[:2])
