"""Saturable absorbers: what strong and weak light make of them."""

import pytest
import torch

from pnnlab.physics import AbsorbingMatrix, SaturableAbsorber

FIELDS = torch.linspace(-3, 3, 25, dtype=torch.float64)


def test_weak_light_is_absorbed_and_strong_light_is_not() -> None:
    cells = SaturableAbsorber(4.0, 2.0)
    weak, strong = torch.tensor([1e-6, 1e4], dtype=torch.float64)
    assert float(cells(weak) / weak) == pytest.approx(float(torch.tensor(-2.0).exp()), rel=1e-6)
    assert float(cells(strong) / strong) == pytest.approx(1.0, rel=1e-6)
    # at the saturation power the optical depth is half of what it was
    half = torch.tensor(2.0, dtype=torch.float64).sqrt()
    assert float(cells(half) / half) == pytest.approx(float(torch.tensor(-1.0).exp()), rel=1e-6)


@pytest.mark.parametrize("depth", [0.0, 1.0, 10.0])
def test_the_slope_is_that_of_autograd(depth: float) -> None:
    cells, field = SaturableAbsorber(depth, 0.7), FIELDS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cells(field).sum(), field)
    torch.testing.assert_close(cells.slope(FIELDS), slope)


def test_complex_light_keeps_its_phase() -> None:
    cells = SaturableAbsorber([1.0, 3.0])
    field = torch.tensor([0.3 + 0.4j, -1j], dtype=torch.complex128)
    behind = cells(field)
    torch.testing.assert_close(behind / behind.abs(), field / field.abs())
    torch.testing.assert_close(behind.abs(), cells(field.abs()))


def test_light_that_runs_back_meets_bleached_cells_and_the_transposed_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    x, w, e = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((3, 5), (5, 4), (3, 4)))
    optics = AbsorbingMatrix(SaturableAbsorber(3.0), 5, 4, pump=1.5)
    y, d, b = optics(x, w, 1e-6 * e)
    z = 1.5 * x @ w / 5**0.5
    torch.testing.assert_close(y, optics.absorber(z))
    torch.testing.assert_close(d / 1e-6, optics.absorber.transmission(z**2) * e)
    torch.testing.assert_close(b / 1e-6, d / 1e-6 @ w.T / 5**0.5)
    # an error that is not weak bleaches, too
    assert bool((optics(x, w, 10 * e)[0].abs() > y.abs()).all())


def test_absorbers_do_not_amplify() -> None:
    with pytest.raises(ValueError, match="optical depths are 0 or more"):
        SaturableAbsorber(-1.0)
    with pytest.raises(ValueError, match="saturation is above 0"):
        SaturableAbsorber(1.0, 0.0)
