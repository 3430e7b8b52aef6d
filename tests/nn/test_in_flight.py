"""Micro-batches in flight: the same gradient bit for bit, the same shots, and errors where they belong."""

import threading
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pnnlab.errors import AcquisitionError, SetpointError, StateError
from pnnlab.methods import PhysicsAware, Setting, physical_layers
from pnnlab.nn import PhysicalLayer, Reencode, interface_of, run_in_flight
from pnnlab.twins import OpticalTwinConfig, make_twin
from tests.benches import OpticalBench

Network = Callable[[OpticalBench], nn.Sequential]


def network(bench: OpticalBench, depth: int) -> nn.Sequential:
    torch.manual_seed(3)
    twin = make_twin(OpticalTwinConfig(macropixels=(8, 8), outputs=(8, 8), seed=7), interface_of(bench.optics))
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [Reencode(64), PhysicalLayer(bench.optics, twin)]
    return nn.Sequential(*layers[1:])


def batch(n: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(n, 64, generator=generator), torch.rand(n, 64, generator=generator)


def sequential(model: nn.Module, x: Tensor, y: Tensor, size: int) -> float:
    """One micro-batch after the other, nothing overlaps: what the gradient is."""
    losses = []
    for inputs, targets in zip(x.split(size), y.split(size), strict=True):
        loss = nn.functional.mse_loss(model(inputs), targets) * (len(inputs) / len(x))
        loss.backward()
        losses.append(float(loss.detach()))
    return sum(losses)


def in_flight(model: nn.Module, x: Tensor, y: Tensor, size: int) -> float:
    method = PhysicsAware()
    method.prepare(model, Setting(4, 4, 1, 0.0))
    method.micro_batch = size
    optimiser = torch.optim.SGD(model.parameters(), lr=0.0)
    return method.step(model, x, y, nn.functional.mse_loss, optimiser)["loss"]


def gradients(model: nn.Module) -> list[np.ndarray]:
    return [layer.raw_controls.grad.numpy() for layer in physical_layers(model)]  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [1, 3, 4, 5, 12])
def test_one_layer_gives_the_sequential_gradient_bit_for_bit_noise_included(size: int) -> None:
    x, y = batch()
    found = []
    for step in (sequential, in_flight):
        # a panel that settles at once: else a shot remembers whether its predecessor belonged to the same run
        bench = OpticalBench(slm={"settling_s": 0.0, "data_sheet_settle_s": 1e-3})
        model = network(bench, 1)
        loss = step(model, x, y, size)
        found.append((loss, gradients(model)[0], bench.optics.n_shots))
    (loss, gradient, shots), (ours, our_gradient, our_shots) = found
    np.testing.assert_array_equal(our_gradient, gradient)
    assert ours == pytest.approx(loss, rel=1e-12) and our_shots == shots == 12


@pytest.mark.parametrize("size", [1, 2, 5])
def test_deep_networks_on_one_device_give_the_sequential_gradient_bit_for_bit(size: int) -> None:
    """Layers interleave on the device, so noise would be drawn in another order; without it nothing differs."""
    x, y = batch()
    found = []
    for step in (sequential, in_flight):
        bench = OpticalBench(slm={"settling_s": 0.0, "data_sheet_settle_s": 1e-3}, camera={"noise": 0.0})
        model = network(bench, 3)
        step(model, x, y, size)
        found.append((gradients(model), bench.optics.n_shots))
    (gradient, shots), (ours, our_shots) = found
    for mine, theirs in zip(ours, gradient, strict=True):
        np.testing.assert_array_equal(mine, theirs)
        assert np.abs(theirs).max() > 0
    assert our_shots == shots == 36


def test_every_micro_batch_gets_its_own_readings() -> None:
    bench = OpticalBench(slm={"settling_s": 0.0, "data_sheet_settle_s": 1e-3}, camera={"noise": 0.0})
    layer = PhysicalLayer(bench.optics)
    x, _ = batch(40)
    with torch.no_grad():
        parts = run_in_flight([lambda part=part: layer(part) for part in x.split(3)])
        whole = layer(x)
    np.testing.assert_array_equal(torch.cat(parts).numpy(), whole.numpy())


def test_a_batch_of_one_layer_needs_two_runs_of_the_bench_only() -> None:
    bench = OpticalBench()
    runs: list[int] = []
    arm = bench.panel._arm_sequence
    bench.panel._arm_sequence = lambda levels, *rest: (runs.append(len(levels)), arm(levels, *rest))[1]  # type: ignore[method-assign]
    in_flight(network(bench, 1), *batch(32), 2)
    assert runs == [4, 28]
    runs.clear()
    in_flight(network(bench, 2), *batch(32), 2)
    assert runs == [4, 28, 4, 28]


@given(
    depths=st.lists(st.integers(0, 4), min_size=1, max_size=14), told=st.integers(1, 6), size=st.integers(1, 3),
    alike=st.booleans(),
)  # fmt: skip
@settings(max_examples=60)
def test_whatever_is_told_of_the_measurements_every_work_comes_to_its_end_with_its_own_readings(
    depths: list[int], told: int, size: int, alike: bool
) -> None:
    bench = OpticalBench(slm={"settling_s": 0.0, "data_sheet_settle_s": 1e-3}, camera={"noise": 0.0})
    layers = [PhysicalLayer(bench.optics) for _ in range(max(depths))]
    parts = torch.rand(len(depths), size, 64, generator=torch.Generator().manual_seed(5))
    depths = depths[:1] * len(depths) if alike else depths
    ends: list[int] = []

    def work(k: int) -> Tensor:
        x = parts[k]
        for layer in layers[: depths[k]]:
            x = layer(x).clamp(-1, 1)
        ends.append(k)
        return x

    with torch.no_grad():
        found = run_in_flight([partial(work, k) for k in range(len(depths))], n_measurements=told)
        in_order = ends.copy()
        for k, y in enumerate(found):
            np.testing.assert_array_equal(y.numpy(), work(k).numpy())
    assert sorted(in_order) == list(range(len(depths)))
    if alike:
        # gradients are sums of floating-point numbers, so their order matters
        assert in_order == sorted(in_order)


@pytest.mark.parametrize(("depth", "works"), [(3, 32), (5, 64)])
def test_the_bench_has_work_during_the_backward_passes_of_deep_networks(depth: int, works: int) -> None:
    bench = OpticalBench(camera={"noise": 0.0})
    layers = [PhysicalLayer(bench.optics) for _ in range(depth)]
    submit, handed_in, fetched, ends = bench.optics.submit, 0, 0, []

    def counted(x: np.ndarray, theta: np.ndarray, *, chunks: list[int]) -> object:
        nonlocal handed_in
        handed_in += len(x)
        return submit(x, theta, chunks=chunks)

    def work(x: Tensor) -> None:
        nonlocal fetched
        for layer in layers:
            x = layer(x).clamp(-1, 1)
            fetched += len(x)
        ends.append((handed_in - fetched, fetched))

    bench.optics.submit = counted  # type: ignore[method-assign,assignment]
    with torch.no_grad():
        run_in_flight([partial(work, torch.rand(1, 64)) for _ in range(works)], n_measurements=depth)
    idle = [fetched for queued, fetched in ends if not queued]
    # the last waves are what nothing else hides: two or three works, and as many that were put off
    assert len(idle) <= 6 and min(idle) >= 0.95 * works * depth
    # and works end while others are measured, not all together
    early = [fetched for _, fetched in ends if fetched < works * depth / 2]
    assert len(early) >= works / 4


def test_gradient_mode_is_each_micro_batchs_own() -> None:
    bench = OpticalBench(camera={"noise": 0.0})
    layer = PhysicalLayer(bench.optics)
    x, _ = batch(4)
    seen: list[bool] = []

    def work(part: Tensor) -> None:
        with torch.no_grad():
            layer(part)
        seen.append(torch.is_grad_enabled())

    run_in_flight([lambda part=part: work(part) for part in x.split(1)])
    assert seen == [True] * 4 and torch.is_grad_enabled()


def test_an_error_of_the_bench_surfaces_in_its_step_and_nothing_goes_on_behind_it() -> None:
    bench = OpticalBench()
    model = network(bench, 2)
    threads = threading.active_count()
    bench.sensor._read = _broken  # type: ignore[method-assign]
    with pytest.raises(AcquisitionError, match="the cable is out"):
        in_flight(model, *batch(), 2)
    shots = bench.optics.n_shots
    assert threading.active_count() <= threads + 1
    del bench.sensor._read  # type: ignore[attr-defined]
    in_flight(model, *batch(), 2)
    assert bench.optics.n_shots == shots + 24


def test_an_error_of_the_host_surfaces_and_the_bench_comes_to_rest() -> None:
    bench = OpticalBench()
    layer = PhysicalLayer(bench.optics)
    unwound: list[int] = []

    def work(k: int, part: Tensor) -> None:
        try:
            layer(part)
            if k == 1:
                raise ZeroDivisionError("a mistake in the model")
            layer(part)
        finally:
            unwound.append(k)

    x, _ = batch(8)
    with torch.no_grad(), pytest.raises(ZeroDivisionError, match="a mistake in the model"):
        run_in_flight([lambda k=k, part=part: work(k, part) for k, part in enumerate(x.split(1))])
    assert sorted(unwound) == list(range(8)), "a micro-batch was left hanging"
    before = bench.optics.n_shots
    with torch.no_grad():
        layer(x)
    assert bench.optics.n_shots == before + 8


def test_illegal_setpoints_are_refused_before_anything_is_sent() -> None:
    bench = OpticalBench()
    layer = PhysicalLayer(bench.optics)
    bad = torch.full((2, 64), float("nan"))
    with torch.no_grad(), pytest.raises(SetpointError, match="inputs span nan"):
        run_in_flight([lambda: layer(bad), lambda: layer(bad)])
    assert bench.optics.n_shots == 0


def test_flights_do_not_nest() -> None:
    with pytest.raises(StateError, match="split the batch once only"):
        run_in_flight([lambda: run_in_flight([lambda: 1])])


def _broken(*_: object) -> object:
    raise AcquisitionError("camera: the cable is out")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("depth", [1, 3])
def test_works_may_differ_in_controls_and_are_one_run_all_the_same(depth: int, at_once: bool) -> None:
    bench = OpticalBench(slm={"settling_s": 0.0, "data_sheet_settle_s": 1e-3}, camera={"noise": 0.0})
    model = network(bench, depth)
    layers, x = physical_layers(model), batch(3)[0]
    settings_of_each = torch.rand(16, depth, 64, generator=torch.Generator().manual_seed(6))
    asked: list[int] = []
    submit = bench.optics.submit
    bench.optics.submit = lambda x, theta, **chunks: (asked.append(len(x)), submit(x, theta, **chunks))[1]  # type: ignore[method-assign]

    def before(number: int) -> None:
        for layer, controls in zip(layers, settings_of_each[number], strict=True):
            layer.raw_controls.data = controls

    with torch.no_grad():
        found = run_in_flight([lambda: model(x)] * 16, n_measurements=depth, before=before, at_once=at_once)
        runs = asked.copy()
        for number, y in enumerate(found):
            before(number)
            np.testing.assert_array_equal(y.numpy(), model(x).numpy())
    assert sum(runs) == depth * 48 and (runs == [48] * depth if at_once else len(runs) > depth)
