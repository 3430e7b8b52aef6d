"""Derivatives taken forwards are those taken backwards, of the same twins at the same measured points."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from pnnlab.bench import Bench
from pnnlab.errors import TwinError
from pnnlab.nn import PhysicalLayer, forward_derivatives
from pnnlab.physics import LeakyIntegrateFire
from pnnlab.training import build_model, build_twins, read_recipe
from pnnlab.twins import DigitalTwin, Interface
from tests.methods.networks import Case
from tests.methods.test_every_method import small_task

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("name", ["small", "small_circuit", "small_crossbar"])
def test_forwards_is_backwards_on_a_noisy_bench_at_no_further_shot(name: str) -> None:
    taken = []
    for forwards in (True, False):
        with Bench.from_file(DATA / f"{name}.yaml") as bench:
            _, recipe = read_recipe(bench.file)
            torch.manual_seed(0)
            task, systems = small_task(), bench.systems
            model = build_model(recipe, task, systems, build_twins(recipe, systems))
            x, loss = task.train[0][:5], partial(nn.functional.cross_entropy, target=task.train[1][:5])
            trained = {key: p for key, p in model.named_parameters() if key.endswith("raw_controls")}
            directions = [{key: torch.randn_like(p) for key, p in trained.items()} for _ in range(2)]
            if forwards:
                found = forward_derivatives(model, x, loss, directions)
            else:
                (value := loss(model(x))).backward()
            taken.append(sum(system.n_shots for system in systems.values()))
    along = [math.fsum(float((d[key] * p.grad).sum()) for key, p in trained.items()) for d in directions]
    assert found[0] == pytest.approx(float(value.detach()), rel=1e-5)
    assert found[1] == pytest.approx(along, rel=2e-3, abs=1e-5)  # single precision
    assert taken[0] == taken[1]


def test_spikes_have_the_same_surrogate_both_ways() -> None:
    neurons, current, direction = LeakyIntegrateFire(4), torch.rand(3, 12, 4), torch.randn(3, 12, 4)
    with forward_ad.dual_level():
        along = forward_ad.unpack_dual(neurons(forward_ad.make_dual(current, direction))[0].sum()).tangent
    current.requires_grad_()
    (gradient,) = torch.autograd.grad(neurons(current)[0].sum(), current)
    torch.testing.assert_close(along, (gradient * direction).sum())


class _Backwards(torch.autograd.Function):
    """Knows its derivative backwards only."""

    @staticmethod
    def forward(ctx: object, y: Tensor) -> Tensor:
        return y.clone()

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return grads[0]


class _OneWay(DigitalTwin):
    """Has no derivative forwards."""

    def __init__(self, interface: Interface, twin: DigitalTwin) -> None:
        super().__init__(interface)
        self._twin = twin

    def forward(self, *drive: Tensor) -> Tensor:
        y: Tensor = _Backwards.apply(self._twin(*drive))  # type: ignore[no-untyped-call]
        return y


def test_a_twin_that_cannot_and_one_that_is_missing_are_told() -> None:
    case = Case()
    direction = {"1.raw_controls": torch.ones_like(case.model.get_parameter("1.raw_controls"))}
    layer = case.model[1]
    assert isinstance(layer, PhysicalLayer)
    twin = layer.needed_twin()
    layer.twin = _OneWay(twin.interface, twin)
    with pytest.raises(TwinError, match=r"layer1: its twin \(_OneWay\) cannot be differentiated forwards: .*jvp"):
        forward_derivatives(case.model, case.x, lambda y: y.sum(), [direction])
    layer.twin = None
    with pytest.raises(TwinError, match=r"layer1: .* no twin"):
        forward_derivatives(case.model, case.x, lambda y: y.sum(), [direction])
