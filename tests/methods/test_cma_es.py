"""Covariance matrix adaptation: it solves what it is made for, and a checkpoint holds all of it."""

import io

import numpy as np
import pytest
import torch
from torch import Tensor

from pnnlab.methods import CmaEs, CmaEsOptions
from tests.methods.set_ups import of_controls, one_sample, quadratic, setting


def ellipsoid(n: int, condition: float) -> tuple[torch.nn.Sequential, Tensor]:
    """Return a model of a rotated ellipsoid, and its Hessian."""
    generator = torch.Generator().manual_seed(0)
    rotation, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
    axes = torch.logspace(0, float(np.log10(condition)), n, dtype=torch.float64)
    hessian = rotation @ torch.diag(axes) @ rotation.T
    return of_controls(lambda z: ((z @ hessian) * z).sum(-1), n), hessian


def test_a_rotated_ellipsoid_of_condition_a_million_takes_fewer_than_ten_thousand_evaluations() -> None:
    """A millionth of the first loss: no further down than the flattest axis, so the shape must be known by then.

    Widths alone, which a rotation makes useless, do not come there.
    """
    ends = {}
    for covariance in ("full", "separable"):
        model, hessian = ellipsoid(20, 1e6)
        method = CmaEs(CmaEsOptions.model_validate({"spread": 0.5, "covariance": covariance}))
        method.prepare(model, setting(10_000))
        losses: list[float] = []
        while len(losses) < 10_000 - 12:
            asked = method.ask()
            found = ((asked @ hessian) * asked).sum(-1)
            method.tell(asked, found)
            losses += found.tolist()
        ends[covariance] = min(losses) / losses[0]
    assert ends["full"] < 1e-6 < 1e-5 < ends["separable"]


def test_the_model_gets_the_mean_and_comes_down() -> None:
    model, _ = ellipsoid(6, 10.0)
    method = CmaEs(CmaEsOptions(spread=0.5))
    method.prepare(model, setting(60))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = [method.step(model, *one_sample(), lambda y, _: y.mean(), optimiser)["loss"] for _ in range(60)]
    assert losses[-1] < 1e-3 * losses[0]
    np.testing.assert_allclose(model[0].raw_controls.detach().numpy(), method._strategy.mean)  # type: ignore[union-attr, operator]
    assert model[0].system.n_shots == 60 * (4 + int(3 * np.log(6)))  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("covariance", ["full", "separable"])
@pytest.mark.parametrize("stop", [0, 1, 7, 25])
def test_a_checkpoint_holds_numbers_only_and_goes_on_to_the_same_ones(covariance: str, stop: int) -> None:
    """Also after generations of the library's own making: injected directions, histories of fitness."""
    value, _ = quadratic(6)
    options = CmaEsOptions.model_validate({"covariance": covariance, "population": 5})
    whole, again, saved = CmaEs(options), CmaEs(options), io.BytesIO()
    whole.prepare(of_controls(value, 6), setting(40))
    again.prepare(of_controls(value, 6), setting(40))

    def generation(method: CmaEs) -> Tensor:
        method._k += 1
        asked = method.ask()
        return method.tell(asked, value(asked))

    for _ in range(stop):
        generation(whole)
    torch.save(whole.state(), saved)
    saved.seek(0)
    np.random.seed(7)  # noqa: NPY002 (the library must not draw from there)
    again.load_state(torch.load(saved, weights_only=True))
    for _ in range(30):
        assert torch.equal(generation(whole), generation(again))


def test_many_controls_get_a_width_each_and_few_a_whole_matrix() -> None:
    for n, full in ((6, True), (600, False)):
        method = CmaEs()
        method.prepare(of_controls(lambda z: z.square().sum(-1), n), setting())
        assert (type(method._strategy.sm).__name__ == "GaussFullSampler") == full
