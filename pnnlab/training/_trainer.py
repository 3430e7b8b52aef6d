"""The loop: steps, epochs, validation, checkpoints, a budget of shots."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from pnnlab.devices import Clock, SimulatedClock
from pnnlab.errors import RunError
from pnnlab.methods import (
    LossFunction,
    PhysicsAware,
    Setting,
    TrainingMethod,
    check_capabilities,
    physical_layers,
)
from pnnlab.nn import run_in_flight
from pnnlab.systems import System
from pnnlab.training._alignment import Alignment
from pnnlab.training._recipe import Recipe
from pnnlab.training._tasks import Task
from pnnlab.training._watch import Watch

__all__ = ["Progress", "Score", "Trainer", "deploy", "evaluate"]

MICRO_BATCHES: Final = 32
"""Micro-batches in a batch on a real clock: after the last one is measured, the host still has one 32nd to do."""


@dataclass(frozen=True)
class Score:
    """How good a model is on data.

    Attributes:
        accuracy: Part of the samples that are classified right.
        loss: Mean loss.
    """

    accuracy: float
    loss: float


@dataclass(frozen=True)
class Progress:
    """Where training is, after a step.

    Attributes:
        step: Steps made, from 1.
        epoch: Epoch, from 1.
        steps: Steps there will be at most.
        shots: Shots of the run so far.
        bench_s: Bench time since the run began in s.
        wall_s: Wall time of this process in s.
        metrics: Of the step, and at the end of an epoch of the validation.
    """

    step: int
    epoch: int
    steps: int
    shots: int
    bench_s: float
    wall_s: float
    metrics: Mapping[str, float]


class BenchState(Protocol):
    """What a trainer needs of a bench: time, systems, and (simulated) what later readings depend on."""

    @property
    def clock(self) -> Clock: ...
    @property
    def systems(self) -> Mapping[str, System]: ...
    def state(self) -> dict[str, object]: ...
    def restore(self, state: dict[str, object]) -> None: ...


class Trainer:
    """Trains a model by a method, step after step, and can stop and go on between any two.

    Args:
        model: From task inputs to logits, with physical layers.
        method: The training method.
        task: The data.
        recipe: How long and how fast.
        bench: The open bench.
        begin_s: Bench time at which the run began; now if `None`.
        save: Told the whole state every `checkpoint_every` steps and at the end; it keeps it.
        observers: Told the progress after each step.
        loss: Loss of logits and classes.
        watches: Look at bench and twins every so often.
    """

    def __init__(
        self,
        model: nn.Module,
        method: TrainingMethod,
        task: Task,
        recipe: Recipe,
        *,
        bench: BenchState,
        begin_s: float | None = None,
        save: Callable[[dict[str, object]], None] | None = None,
        observers: tuple[Callable[[Progress], None], ...] = (),
        loss: LossFunction = nn.functional.cross_entropy,
        watches: Sequence[Watch] = (),
    ) -> None:
        self.model, self.method, self.task, self.recipe, self.bench = model, method, task, recipe, bench
        self._save, self._observers, self._loss, self._watches = save, observers, loss, tuple(watches)
        self._systems = list({id(layer.system): layer.system for layer in physical_layers(model)}.values())
        self.steps_per_epoch = -(-len(task.train[0]) // recipe.batch)
        self.n_steps = min(recipe.epochs * self.steps_per_epoch, recipe.max_steps or sys.maxsize)
        check_capabilities(type(method), self._systems)
        setting = Setting(
            task.train[0].shape[1], task.n_classes, self.n_steps, recipe.learning_rate, recipe.schedule == "cosine",
            recipe.seed, task.train[0].dtype, bench.systems,
        )  # fmt: skip
        self.micro_batch = recipe.micro_batch
        if self.micro_batch is None and not isinstance(bench.clock, SimulatedClock):
            self.micro_batch = -(-recipe.batch // MICRO_BATCHES)
        method.micro_batch = self.micro_batch
        method.prepare(model, setting)
        self._systems += [system for system in method.systems if system not in self._systems]
        trained = [p for name, p in model.named_parameters() if not _belongs_to_twin(name)]
        self._descent = setting.descent(trained)
        self._alignment = Alignment(model, self._loss)
        self.step = 0
        self.stopped_because = ""
        self._step_shots, self._look_shots = 0, 0
        self._best = (-1.0, 0)
        self._begin_s = bench.clock.now_s() if begin_s is None else begin_s
        self._wall_s = time.perf_counter()

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """Return the optimiser of the model's parameters."""
        return self._descent.optimiser

    @property
    def shots(self) -> int:
        """Return the shots of the run so far: fitting, training and validation."""
        return sum(system.n_shots for system in self._systems)

    @property
    def bench_s(self) -> float:
        """Return the bench time since the run began in s."""
        return self.bench.clock.now_s() - self._begin_s

    def run(self) -> None:
        """Train until all epochs are done, validation no longer improves, or the budget is spent.

        `stopped_because` says which. Goes on where `load_state` left off.
        """
        batches = self._batches()
        # the next batch is loaded while this one is measured
        with ThreadPoolExecutor(1, thread_name_prefix="pnnlab batches") as loader:
            loading = loader.submit(next, batches)
            if self.step == 0:
                for watch in self._watches:
                    watch.begin()
            recipe = self.recipe
            while not (reason := self._stop_reason()):
                x, y = loading.result()
                loading = loader.submit(next, batches)
                aligned = self._alignment.begin(x, y) if self._looks(recipe.align_every) else None
                before = self.shots
                metrics = self.method.step(self.model, x, y, self._loss, self.optimiser)
                # the first step may take more than all others, and is no measure of them
                self._step_shots = max(self._step_shots if self.step > 1 else 0, self.shots - before)
                if aligned is not None:
                    metrics = metrics | self._alignment.end(aligned)
                self._descent.advance()
                self.step += 1
                self._after_step(metrics)
        self.stopped_because = reason

    def state(self) -> dict[str, object]:
        """Return everything that the rest of training depends on; twins, which do not change, are left out."""
        return {
            "step": self.step,
            "best": list(self._best),
            "model": {k: v for k, v in self.model.state_dict().items() if not _belongs_to_twin(k)},
            "descent": self._descent.state(),
            "method": self.method.state(),
            "watches": [watch.state() for watch in self._watches],
            "torch_rng": torch.get_rng_state(),
            "shots": {system.name: system.n_shots for system in self._systems},
            "most_shots": [self._step_shots, self._look_shots],
            "bench_s": self.bench_s,
            "bench": self.bench.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned.

        Raises:
            RunError: It belongs to another model.
        """
        try:
            missing, unexpected = self.model.load_state_dict(state["model"], strict=False)
            wrong = [*unexpected, *(name for name in missing if not _belongs_to_twin(name))]
            if wrong:
                raise RunError(
                    f"the checkpoint belongs to another network (parameters {wrong}); use this run's own recipe"
                )
            self._descent.load_state(state["descent"])
            self.method.load_state(state["method"])
            for watch, watched in zip(self._watches, state["watches"], strict=True):
                watch.load_state(watched)
            self.step, self._best = int(state["step"]), (float(state["best"][0]), int(state["best"][1]))
            for system in self._systems:
                system.n_shots = int(state["shots"][system.name])
            self._step_shots, self._look_shots = (int(shots) for shots in state["most_shots"])
            self.bench.restore(state["bench"])
            self._begin_s = self.bench.clock.now_s() - float(state["bench_s"])
            torch.set_rng_state(state["torch_rng"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunError(
                f"the checkpoint cannot be used ({error}); it belongs to another network or version"
            ) from error

    def _looks(self, every: int | None) -> bool:
        """Return whether the step to come is one of every so many."""
        return every is not None and self.step % every == 0

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the batches from the present step on; the order depends on seed and epoch only."""
        x, y = self.task.train
        step = self.step
        while True:
            epoch, within = divmod(step, self.steps_per_epoch)
            generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + epoch)
            order = torch.randperm(len(x), generator=generator).split(self.recipe.batch)
            for index in order[within:]:
                yield x[index], y[index]
                step += 1

    def _after_step(self, metrics: dict[str, float]) -> None:
        """Validate at the end of an epoch, keep a checkpoint, and tell the observers."""
        if not math.isfinite(metrics["loss"]):
            raise RunError(
                f"the loss is {metrics['loss']} in step {self.step}; lower `learning_rate`, or look for dark readings"
            )
        for watch in self._watches:
            if self.step % watch.every == 0:
                metrics = metrics | watch.look(self.step)
        epoch_done = self.step % self.steps_per_epoch == 0
        if self._validates_after(self.step):
            before = self.shots
            score = evaluate(
                partial(self.method.predict, self.model), self.task.validation, self._loss, micro_batch=self.micro_batch
            )
            metrics = metrics | {"validation_accuracy": score.accuracy, "validation_loss": score.loss}
            self._look_shots = self.shots - before
            metrics |= {"validation_shots": float(self._look_shots)}
            if score.accuracy > self._best[0]:
                self._best = (score.accuracy, self.step)
        # validation draws readings too, so the checkpoint comes after it: a resumed run then repeats nothing
        if self._save is not None and (
            self._stop_reason() or self.step % self.recipe.checkpoint_every == 0 or epoch_done
        ):
            self._save(self.state())
        progress = Progress(
            self.step, -(-self.step // self.steps_per_epoch), self.n_steps, self.shots,
            self.bench_s, time.perf_counter() - self._wall_s, metrics,
        )  # fmt: skip
        for observer in self._observers:
            observer(progress)

    def _validates_after(self, step: int) -> bool:
        every = self.recipe.validate_every
        return step % (every or self.steps_per_epoch) == 0 or (every is not None and step == self.n_steps)

    def _stop_reason(self) -> str:
        """Return why training is over; empty while it is not."""
        budget, patience = self.recipe.budget_shots, self.recipe.patience
        if self.step >= self.n_steps:
            return "all epochs are done"
        # another step takes as many shots as the most that one has taken; of one that takes more nothing is known
        due = self._step_shots + (self._look_shots if self._validates_after(self.step + 1) else 0)
        if budget is not None and (self.shots >= budget or self.shots + due > budget):
            return f"the budget of {budget} shots is spent ({self.shots}, and one more step takes {due})"
        if self.recipe.budget_time_s is not None and self.bench_s >= self.recipe.budget_time_s:
            return f"the budget of {self.recipe.budget_time_s:g} s of bench time is spent ({self.bench_s:.4g} s)"
        if patience is not None and self.step - self._best[1] >= patience * self.steps_per_epoch:
            return f"validation accuracy has not improved for {patience} epochs (best {self._best[0]:.4f})"
        return ""


def evaluate(
    model: Callable[[Tensor], Tensor], data: tuple[Tensor, Tensor],
    loss: LossFunction = nn.functional.cross_entropy, batch: int = 64, *, micro_batch: int | None = None,
) -> Score:  # fmt: skip
    """Return accuracy and loss of a model on data, with the layers' present rules and without gradients.

    Args:
        model: From inputs to logits.
        data: Inputs and classes.
        loss: A mean over samples.
        batch: Samples that are handed in together.
        micro_batch: Samples of these that the host works on at a time, while the bench measures others.
    """
    right, total = 0, 0.0
    with torch.no_grad():
        for x, y in zip(data[0].split(batch), data[1].split(batch), strict=True):
            parts = x.split(micro_batch or batch)
            logits = torch.cat(run_in_flight([partial(model, part) for part in parts])) if len(parts) > 1 else model(x)
            right += int((logits.argmax(-1) == y).sum())
            total += float(loss(logits, y)) * len(y)
    return Score(right / len(data[1]), total / len(data[1]))


def deploy(
    model: nn.Module, data: tuple[Tensor, Tensor], *, method: TrainingMethod | None = None,
    micro_batch: int | None = None,
) -> Score:  # fmt: skip
    """Return the score on the bench, whatever the model was trained on.

    Args:
        model: With physical layers.
        data: Inputs and classes.
        method: What trained it and predicts with it; the model itself predicts if `None`.
        micro_batch: As in `evaluate`.
    """
    method = method or PhysicsAware()
    method.deploy(model)
    return evaluate(partial(method.predict, model), data, micro_batch=micro_batch)


def _belongs_to_twin(name: str) -> bool:
    return ".twin." in name or name.startswith("twin.")
