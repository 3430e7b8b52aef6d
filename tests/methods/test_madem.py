"""Units that settle with crossbars in the loop, against autograd through the same settling."""

from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pnnlab.errors import CapabilityError, RunError
from pnnlab.methods import Madem, MademOptions, Setting
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import A, ControlRange, FloatArray
from scripts.setups import FunctionSystem
from scripts.setups.crossbar_units import crossbar_units, madem_gradient, side_difference

GAIN = 0.5


class Crossbar(FunctionSystem):
    """y = gain · x W with W from -1 to 1, read back through cells that differ from W by a part."""

    gain = GAIN

    def __init__(self, n_in: int, n_out: int, asymmetry: float = 0.0) -> None:
        def physics(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
            return GAIN * x @ (2 * theta - 1).reshape(n_in, n_out)

        super().__init__(
            physics, (n_in, n_in * n_out, n_out), control_range=ControlRange.BOUNDED, precision="float64",
            shares_controls=True,
        )  # fmt: skip
        self._error = asymmetry * np.random.default_rng(0).standard_normal((n_in, n_out))

    def weights(self, theta: A) -> A:
        matrix: A = (2 * theta - 1).reshape(self.n_in, self.n_out)
        return matrix

    def read_transposed(self, error: FloatArray, theta: FloatArray | None = None) -> FloatArray:
        assert theta is not None
        back: FloatArray = GAIN * error @ (self.weights(theta) * (1 + self._error)).T
        return back


def model(asymmetry: float = 0.0, *, wrong: bool = False) -> nn.Sequential:
    draws = torch.Generator().manual_seed(1)
    sizes = ((6, 5), (4 if wrong else 5, 3))
    start = [torch.rand(a * b, generator=draws, dtype=torch.float64) for a, b in sizes]
    layers = [PhysicalLayer(Crossbar(*size, asymmetry), controls=s) for size, s in zip(sizes, start, strict=True)]
    return nn.Sequential(*layers)


def batch() -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(2)
    x, target = (torch.rand(4, n, generator=draws, dtype=torch.float64) for n in (6, 3))
    return x, target - 0.5


def half_square(y: Tensor, target: Tensor) -> Tensor:
    return (y - target).square().sum(1).mean() / 2


def exact(net: nn.Sequential, strength: float = 1.0) -> Tensor:
    """Return the gradient of the raw controls by autograd through 200 steps of settling."""
    x, target = batch()
    layers = [cast(PhysicalLayer, layer) for layer in net]
    raws = [layer.raw_controls.detach().clone().requires_grad_() for layer in layers]
    first, second = (
        strength * GAIN * cast(Tensor, cast(Crossbar, layer.system).weights(raw.sigmoid()))
        for layer, raw in zip(layers, raws, strict=True)
    )
    h, o = torch.zeros(4, 5, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64)
    for _ in range(200):
        r, s = h.tanh(), o.tanh()
        h, o = h + 0.5 * ((1 - r**2) * (x @ first + s @ second.T) - h), o + 0.5 * ((1 - s**2) * (r @ second) - o)
    return torch.cat(torch.autograd.grad(half_square(o.tanh(), target), raws))


def found(net: nn.Sequential, **options: object) -> Tensor:
    method = Madem(MademOptions.model_validate({"free_steps": 200, "nudged_steps": 200, **options}))
    method.prepare(net, Setting(1, 4, 1, 0.0, dtype=torch.float64))
    x, target = batch()
    method.step(net, x, target, half_square, torch.optim.SGD(net.parameters(), lr=0.0))
    return torch.cat([cast(Tensor, parameter.grad) for parameter in net.parameters()])


@pytest.mark.parametrize(("nudge", "order"), [("one_sided", 1), ("centred", 2)])
def test_the_difference_of_activities_is_the_gradient(nudge: str, order: int) -> None:
    errors = []
    for beta in (0.1, 0.05):
        one, other = found(model(), nudge=nudge, beta=beta), exact(model())
        errors.append(float((one - other).norm() / other.norm()))
    assert errors[0] < 0.2 and np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


def test_weaker_forces_are_those_of_an_energy_too() -> None:
    one, other = found(model(), beta=0.02, strength=0.4), exact(model(), strength=0.4)
    # the bias of a centred nudge falls as its square
    torch.testing.assert_close(one, other, rtol=0, atol=1e-3 * float(other.abs().max()))


@pytest.mark.parametrize("asymmetry", [0.01, 0.05])
def test_reads_of_both_sides_that_differ_a_little_turn_it_a_little(asymmetry: float) -> None:
    cosine = nn.functional.cosine_similarity(found(model(asymmetry), beta=0.05), exact(model()), dim=0)
    assert 0.95 < float(cosine) < 1 - 1e-9


def test_it_predicts_of_units_that_have_settled_and_measures_every_step() -> None:
    net, method = model(), Madem(MademOptions(free_steps=7))
    method.prepare(net, Setting(1, 4, 1, 0.0, dtype=torch.float64))
    outputs = method.predict(net, batch()[0])
    assert outputs.shape == (4, 3) and float(outputs.detach().abs().max()) < 1
    shots = [cast(PhysicalLayer, layer).system.n_shots for layer in net]
    assert shots == [4, 4 * 7]


def test_what_does_not_fit_is_refused() -> None:
    setting = Setting(1, 4, 1, 0.0, dtype=torch.float64)
    with pytest.raises(RunError, match=r"has 5 outputs, .* has 4 inputs"):
        Madem().prepare(model(wrong=True), setting)
    plain = FunctionSystem(lambda x, theta, noise: x, (2, 2, 2), control_range=ControlRange.BOUNDED)
    with pytest.raises(CapabilityError, match="no matrix of weights"):
        Madem().prepare(nn.Sequential(PhysicalLayer(plain)), setting)


@pytest.mark.parametrize(("gain_error", "least", "most"), [(0.0, 0.999999, 1.0), (0.003, 0.95, 1.0), (0.3, -1.0, 0.97)])
def test_simulated_crossbars_tell_it_the_gradient_of_their_cells_energy(
    gain_error: float, least: float, most: float
) -> None:
    net = crossbar_units((6, 5, 4, 3), gain_error=gain_error)
    difference = side_difference(net)
    x, target = batch()
    cosine = float(nn.functional.cosine_similarity(*madem_gradient(net, 2 * x - 1, target, 0.02), dim=0))
    assert (difference < 0.01) == (gain_error < 0.01) and least < cosine <= most + 1e-12
