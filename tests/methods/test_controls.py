"""Many settings of a model's controls on one batch: each gets its own, in as few runs of the bench as can be."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pnnlab.errors import RunError
from pnnlab.methods._controls import _MOST_SHOTS, ControlVector
from pnnlab.nn import PhysicalLayer
from pnnlab.systems import ControlRange, System
from scripts.setups import FunctionSystem
from tests.methods.set_ups import of_controls, quadratic

LOSS = nn.functional.mse_loss


def mixed(x: Tensor, theta: Tensor, noise: torch.Generator | None) -> Tensor:
    """Six inputs and six controls to six outputs."""
    return (x * theta).roll(1, -1).sin() + theta


def network(*, shared: bool, bounded: bool = True) -> nn.Sequential:
    """Two physical layers with a trained digital map between them and another behind."""
    torch.manual_seed(2)
    kind = ControlRange.BOUNDED if bounded else ControlRange.PERIODIC
    systems = [
        FunctionSystem(mixed, (6, 6, 6), control_range=kind, shares_controls=shared, precision="float64")
        for _ in range(2)
    ]
    digital = [nn.Linear(6, 6, dtype=torch.float64), nn.Linear(6, 3, dtype=torch.float64)]
    return nn.Sequential(PhysicalLayer(systems[0]), digital[0], PhysicalLayer(systems[1]), digital[1])


def batch(n: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return tuple(torch.rand(n, size, dtype=torch.float64, generator=generator) for size in (6, 3))  # type: ignore[return-value]


def runs(system: System) -> list[int]:
    """Return a list that fills with the sizes of the runs that a system is asked for."""
    found: list[int] = []
    submit: Callable[..., object] = system.submit

    def noted(x: object, theta: object, **chunks: object) -> object:
        found.append(len(x))  # type: ignore[arg-type]
        return submit(x, theta, **chunks)

    system.submit = noted  # type: ignore[method-assign, assignment]
    return found


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("micro_batch", [None, 1, 2])
def test_every_setting_is_measured_with_its_own_numbers_digital_ones_too(shared: bool, micro_batch: int | None) -> None:
    model = network(shared=shared)
    z = ControlVector(model, generator=torch.Generator())
    candidates = z.read() + 0.3 * torch.randn(7, z.n, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    found = z.losses(candidates, *batch(), LOSS, micro_batch=micro_batch)
    for candidate, loss in zip(candidates, found, strict=True):
        z.write(candidate)
        with torch.no_grad():
            assert float(LOSS(model(batch()[0]), batch()[1])) == pytest.approx(float(loss), rel=1e-12)


def test_settings_are_one_run_a_layer_where_shots_may_differ_in_controls() -> None:
    model = network(shared=False)
    asked = [runs(layer.system) for layer in (model[0], model[2])]  # type: ignore[arg-type]
    z = ControlVector(model, generator=torch.Generator())
    z.losses(z.read().expand(7, -1), *batch(), LOSS)
    assert asked == [[35], [35]]
    assert [layer.system.n_shots for layer in (model[0], model[2])] == [35, 35]  # type: ignore[union-attr]


def test_where_a_batch_must_share_its_controls_a_setting_is_a_run_and_one_that_did_not_change_is_none() -> None:
    model = network(shared=True)
    asked = [runs(layer.system) for layer in (model[0], model[2])]  # type: ignore[arg-type]
    z = ControlVector(model, generator=torch.Generator())
    candidates = z.read().repeat(3, 1)
    candidates[1, -1] += 0.1  # digital: the physics stays as it is
    candidates[2, 0] += 0.1  # the first layer's
    z.losses(candidates, *batch(), LOSS)
    assert asked == [[10, 5], [15]]


def test_a_population_too_large_for_the_memory_is_several_runs() -> None:
    model = network(shared=False)
    asked = runs(model[0].system)  # type: ignore[arg-type]
    z = ControlVector(model, generator=torch.Generator())
    z.losses(z.read().expand(7, -1), *batch(_MOST_SHOTS // 3), LOSS)
    assert [size // (_MOST_SHOTS // 3) for size in asked] == [3, 3, 1]


def test_repeated_measurements_are_averaged_and_counted() -> None:
    model = network(shared=False)
    z = ControlVector(model, generator=torch.Generator())
    once, often = (z.losses(z.read()[None], *batch(), LOSS, repeats=repeats) for repeats in (1, 4))
    torch.testing.assert_close(once, often)  # there is no noise here
    assert model[0].system.n_shots == 5 * (1 + 4)  # type: ignore[union-attr]


def test_the_model_is_as_it_was_even_when_the_bench_refuses() -> None:
    model = network(shared=False, bounded=False)
    z = ControlVector(model, generator=torch.Generator())
    before, pointers = z.read(), [p.data_ptr() for p in model.parameters()]
    z.losses(z.read() + torch.ones(3, 1), *batch(), LOSS)
    with pytest.raises(Exception, match="span"):
        z.losses(torch.full((2, z.n), torch.nan, dtype=torch.float64), *batch(), LOSS)
    assert torch.equal(z.read(), before) and pointers == [p.data_ptr() for p in model.parameters()]


def test_a_unit_of_a_bounded_control_is_its_range() -> None:
    """At mid-range a step of 0.01 moves a control from 0 to 1 by 0.01; a turn of phase is a turn."""
    for bounded, model in ((bounded, network(shared=True, bounded=bounded)) for bounded in (True, False)):
        layer = model[0]
        with torch.no_grad():
            layer.raw_controls.zero_()  # type: ignore[union-attr, operator]
        z = ControlVector(model, generator=torch.Generator())
        step = torch.zeros(z.n, dtype=torch.float64)
        step[0] = 0.01
        z.write(z.read() + step)
        assert float(layer.controls[0].detach()) == pytest.approx(0.51 if bounded else 0.01, rel=1e-3)  # type: ignore[index, union-attr]


def test_groups_move_together_in_a_subspace_of_their_number() -> None:
    value, gradient = quadratic(12)
    model = of_controls(value, 12)
    z = ControlVector(model, groups=5, generator=torch.Generator().manual_seed(1))
    whole = ControlVector(model, generator=torch.Generator())
    start = whole.read()
    assert z.n == 5 and not z.read().any()
    moves = []
    for k in range(5):
        z.write(torch.eye(5, dtype=torch.float64)[k])
        moves.append(whole.read() - start)
        torch.testing.assert_close(z.read(), torch.eye(5, dtype=torch.float64)[k])
    members = torch.stack(moves).abs().round(decimals=12)
    assert torch.equal(members.sum(0), torch.ones(12, dtype=torch.float64))  # everyone moves with one group only
    assert set(members.sum(1).tolist()) == {2.0, 3.0}
    # a gradient of the groups is such that the model moves within the subspace
    z.write(torch.zeros(5, dtype=torch.float64))
    z.write_gradient(torch.stack(moves) @ gradient(start))
    torch.optim.Adam(model.parameters(), lr=0.1).step()
    moved = whole.read() - start
    torch.testing.assert_close((torch.stack(moves) * z.read()[:, None]).sum(0), moved)
    assert float(value(whole.read())) < float(value(start))


def test_more_groups_than_numbers_are_refused() -> None:
    with pytest.raises(RunError, match=r"`groups` is 13, but the model has 12 trained numbers"):
        ControlVector(of_controls(quadratic(12)[0], 12), groups=13, generator=torch.Generator())
