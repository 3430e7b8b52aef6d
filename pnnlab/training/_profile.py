"""What a few training steps on a bench take, and what bounds them."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from pnnlab.bench import Bench
from pnnlab.devices import SimulatedClock
from pnnlab.errors import RunError
from pnnlab.methods import TrainingMethod, physical_layers
from pnnlab.nn import SHALLOW
from pnnlab.systems import Lane, Span, System
from pnnlab.training._account import Account, Load, Window, account, hardware_time
from pnnlab.training._build import build_method, build_model, build_twins
from pnnlab.training._diagnosis import Diagnosis, Tuning, judge
from pnnlab.training._experiment import Watcher
from pnnlab.training._overlap import HostCost, best_micro_batch, host_cost, overrun
from pnnlab.training._prediction import Prediction, predict
from pnnlab.training._recipe import Recipe
from pnnlab.training._tasks import load_task
from pnnlab.training._trainer import MICRO_BATCHES, Trainer

__all__ = ["Profile", "profile"]

_PATIENCE_S: Final = 30.0
"""How long the bench may take to come to rest after the host has its last reading."""


@dataclass(frozen=True)
class Profile:
    """What some training steps took.

    Attributes:
        method: The training method's name.
        batch: Samples in a step.
        micro_batch: Samples that the host worked on while the bench measured others.
        warm_up: Steps that were made before, not accounted.
        account: Where the time went. On a simulated clock its bench is this computer, which computes the simulation.
        cost: What the host needs for a micro-batch; `None` where no backward pass was recorded.
        prediction: What a real bench would take; `None` where the bench's clock is real.
        diagnosis: What bounds the speed: measured on a real clock, predicted on a simulated one.
        steps: Begin and end of each step by the performance counter.
        spans: What was recorded in them.
    """

    method: str
    batch: int
    micro_batch: int
    warm_up: int
    account: Account
    cost: HostCost | None
    prediction: Prediction | None
    diagnosis: Diagnosis
    steps: tuple[Window, ...]
    spans: tuple[Span, ...]

    @property
    def hardware_s(self) -> float | None:
        """Return the time that the devices alone need for the shots, in s; `None` where they do not tell."""
        return self.account.hardware_s if self.prediction is None else self.prediction.hardware_s


def profile(bench: Bench, recipe: Recipe, *, steps: int = 20, watcher: Watcher | None = None) -> Profile:
    """Make training steps with the trace on, and account for their time; nothing is recorded or kept.

    Twins are taken as designed, because a fitted twin of the same design takes as long. A few steps with micro-batches
    of several sizes come first: they warm everything up, and tell what a micro-batch costs the host beside its shots.
    Validation, checkpoints and logging, which come between steps of a training, are not in it. On a simulated clock
    the micro-batch is the one that the recipe would have on a real one.

    Args:
        bench: The open bench.
        recipe: Of the training.
        steps: How many steps to account for.
        watcher: Told what goes on.

    Raises:
        RunError: The method takes no shots while it trains, or more was recorded than the trace holds.
        PnnlabError: What a step of the training may raise.
    """
    if steps < 1:
        raise RunError(f"{steps} steps are to be profiled; ask for at least one")
    watcher, stepper = watcher or Watcher(), _Stepper(bench, recipe)
    batch, size = stepper.batch, stepper.micro_batch
    sizes = _warm_up_sizes(batch, size)
    watcher.phase(f"warming up, {len(sizes)} steps")
    warm = stepper.record(sizes)
    if not any(load.shots for load in warm.loads):
        raise RunError(
            f"the method {recipe.method!r} takes no shots while it trains, so no bench bounds it; profile another, as "
            "--set method=physics_aware"
        )
    watcher.phase(f"profiling {steps} steps of {recipe.method}")
    made = stepper.record([size] * steps)
    simulated, hardware_s = isinstance(bench.clock, SimulatedClock), hardware_time(made.loads)
    found = account(made.spans, made.steps, made.loads, hardware_s=None if simulated else hardware_s)
    # the first step of all is cold
    cost = host_cost(
        [*(span for span in warm.spans if span.begin_s >= warm.steps[0][1]), *made.spans],
        [*warm.steps[1:], *made.steps],
    )
    # where devices do not tell, a shot takes what the bench took
    bench_s = made.bench_s if simulated else found.busy * found.wall_s
    shot_s = stepper.layers[-1].shot_s or bench_s / found.shots
    if len(stepper.layers) > SHALLOW:
        shot_s = sum(system.shot_s or shot_s for system in stepper.layers)
    prediction = None
    if simulated:
        prediction = predict(
            found, made.spans, made.steps, cost, bench_s=bench_s, hardware_s=hardware_s, batch=batch,
            micro_batch=size, shot_s=shot_s,
        )  # fmt: skip
    tuning = None if cost is None else _tuning(cost, batch, size, shot_s, steps)
    diagnosis = judge(prediction or found, tuning, retaken_s=found.retakes_s)
    return Profile(recipe.method, batch, size, len(sizes), found, cost, prediction, diagnosis, made.steps, made.spans)


@dataclass(frozen=True)
class _Recording:
    """Steps, what was recorded in them, what the systems measured, and the bench time that went by."""

    steps: tuple[Window, ...]
    spans: tuple[Span, ...]
    loads: tuple[Load, ...]
    bench_s: float


class _Stepper:
    """A training that makes steps when it is told to.

    Mutable: every step moves controls, optimiser and the place in the data.
    """

    def __init__(self, bench: Bench, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self._bench = bench
        task = load_task(recipe.task)
        if any(system.config.precision == "float64" for system in bench.systems.values()):
            task = task.to(torch.float64)
        twins = build_twins(recipe, bench.systems)
        for twin in twins.values():
            twin.freeze()
        model = build_model(recipe, task, bench.systems, twins)
        self.layers = [layer.system for layer in physical_layers(model)]
        self.batch = min(recipe.batch, len(task.train[0]))
        trainer = Trainer(model, build_method(recipe), task, recipe, bench=bench)
        self.micro_batch = min(trainer.micro_batch or math.ceil(recipe.batch / MICRO_BATCHES), self.batch)
        self._model: nn.Module = model
        self._method: TrainingMethod = trainer.method
        self._optimiser = trainer.optimiser
        self._batches = _batches(task.train, self.batch, recipe.seed)

    def record(self, sizes: Sequence[int]) -> _Recording:
        """Make a step with each size of micro-batches, with the trace on.

        Raises:
            RunError: More was recorded than the trace holds.
        """
        trace, clock, systems = self._bench.trace, self._bench.clock, self._bench.systems
        trace.spans.clear()
        batches = [next(self._batches) for _ in sizes]
        before = {name: (system.n_shots, system.n_retaken) for name, system in systems.items()}
        bench_s, trace.on = clock.now_s(), True
        try:
            steps = tuple(self._step(x, y, size) for (x, y), size in zip(batches, sizes, strict=True))
            self._rest(sum(shots for shots, _ in before.values()))
        finally:
            trace.on = False
        if len(trace.spans) == trace.spans.maxlen:
            raise RunError(f"more than {len(trace.spans)} stages were recorded and some forgotten; profile fewer steps")
        groups = _groups(systems, joined=isinstance(clock, SimulatedClock))
        loads = tuple(
            Load(name, groups[name], one.n_shots - before[name][0], one.n_retaken - before[name][1], one.shot_s)
            for name, one in systems.items()
        )
        return _Recording(steps, tuple(trace.spans), loads, clock.now_s() - bench_s)

    def _step(self, x: Tensor, y: Tensor, micro_batch: int) -> Window:
        self._method.micro_batch = micro_batch
        begin_s = time.perf_counter()
        self._method.step(self._model, x, y, nn.functional.cross_entropy, self._optimiser)
        return begin_s, time.perf_counter()

    def _rest(self, before: int) -> None:
        """Wait until all shots that were handed in are counted: the host has its readings a little earlier."""
        trace, systems = self._bench.trace, self._bench.systems
        handed_in = sum(span.shots for span in trace.spans if span.lane is Lane.HOST and span.stage == "encode")
        deadline_s = time.perf_counter() + _PATIENCE_S
        while (counted := sum(one.n_shots for one in systems.values()) - before) < handed_in:
            if time.perf_counter() > deadline_s:
                raise RunError(f"the bench has counted {counted} of {handed_in} shots only; look at its devices")
            time.sleep(1e-3)


def _batches(data: tuple[Tensor, Tensor], batch: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield full batches without end, in an order that is drawn anew for every pass."""
    x, y = data
    generator = torch.Generator().manual_seed(seed)
    while True:
        for index in torch.randperm(len(x), generator=generator).split(batch):
            if len(index) == batch:
                yield x[index], y[index]


def _warm_up_sizes(batch: int, micro_batch: int) -> list[int]:
    """Return sizes of micro-batches, far enough apart to tell a call's cost from that of its shots."""
    return [micro_batch, *dict.fromkeys((micro_batch, batch, *(max(1, batch // part) for part in (2, 8, 32))))]


def _groups(systems: Mapping[str, System], *, joined: bool) -> dict[str, int]:
    """Number the systems so that those which share a device, or all where they are joined, have the same number."""
    groups = {name: 0 if joined else number for number, name in enumerate(systems)}
    owner: dict[str, int] = {}
    for name, system in systems.items():
        for device in system.devices.values():
            other, mine = owner.setdefault(device.name, groups[name]), groups[name]
            groups = {key: mine if group == other else group for key, group in groups.items()}
            owner = {key: mine if group == other else group for key, group in owner.items()}
    return groups


def _tuning(cost: HostCost, batch: int, micro_batch: int, shot_s: float, steps: int) -> Tuning:
    best = best_micro_batch(cost, batch=batch, shot_s=shot_s)
    now_s, best_s = (overrun(cost, batch=batch, micro_batch=size, shot_s=shot_s) for size in (micro_batch, best))
    return Tuning(micro_batch, best, steps * (now_s - best_s), cost.backward_shot_s, shot_s)
