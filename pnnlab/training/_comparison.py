"""What a comparison found: figures and curves of each method."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pnnlab.bench import BenchFile
from pnnlab.methods import find_method
from pnnlab.runs import LoggedStep, Run
from pnnlab.training._baselines import linear_on_inputs
from pnnlab.training._compare import Budget, Trial, read_trials
from pnnlab.training._experiment import read_recipe
from pnnlab.training._tasks import load_task

__all__ = ["Comparison", "Curve", "MethodResult", "Spread", "read_comparison"]


@dataclass(frozen=True)
class Spread:
    """A figure over seeds.

    Attributes:
        mean: NaN where there is none.
        std: Sample standard deviation; NaN with fewer than two seeds.
        n: Seeds.
    """

    mean: float
    std: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return mean and standard deviation of values."""
        mean = statistics.mean(values) if values else math.nan
        return cls(mean, statistics.stdev(values) if len(values) > 1 else math.nan, len(values))


@dataclass(frozen=True)
class Curve:
    """The course of one training.

    Attributes:
        seed: Of the training.
        shots: Shots so far, at each validation.
        bench_s: Bench time so far in s.
        accuracy: Validation accuracy on the bench.
        alignment: Cosine of the method's step with the exact gradient's, at even steps from the first one on.
    """

    seed: int
    shots: tuple[float, ...]
    bench_s: tuple[float, ...]
    accuracy: tuple[float, ...]
    alignment: tuple[float, ...]


@dataclass(frozen=True)
class MethodResult:
    """What one method reached within one budget, on the bench as it is or a scaled one.

    Attributes:
        method: Its name.
        budget: What it was allowed.
        sweep: Which imperfection of the bench was scaled; empty where it is as it is.
        factor: By how much.
        accuracy: Test accuracy on the bench.
        shots: Shots of training, fitting and validation.
        bench_s: Bench time of the same in s.
        energy_j: Of the bench's devices in that time, by their declared power; NaN where one declares none.
        alignment: Mean cosine with the exact gradient during training; NaN where it is not known.
        curves: One a seed.
        failures: Why trainings gave no result.
    """

    method: str
    budget: Budget
    sweep: str
    factor: float
    accuracy: Spread
    shots: Spread
    bench_s: Spread
    energy_j: Spread
    alignment: Spread
    curves: tuple[Curve, ...]
    failures: tuple[str, ...]

    def shots_to(self, accuracy: float) -> Spread:
        """Return the shots after which validation accuracy first reached a number, over the seeds that reached it."""
        reached = []
        for curve in self.curves:
            first = next((s for s, a in zip(curve.shots, curve.accuracy, strict=True) if a >= accuracy), None)
            reached += [] if first is None else [first]
        return Spread.of(reached)

    @property
    def summary(self) -> str:
        """Return what the method is, in one line."""
        return find_method(self.method).summary


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        path: Folder of its run.
        bench: The bench's name.
        recipe: The recipe's name.
        power_w: Power of all devices together; `None` where one declares none.
        results: By budget, then by falling accuracy.
        left: Trials that are not done.
        linear: Test accuracy of a linear classifier on the task's inputs, which needs no bench.
    """

    path: Path
    bench: str
    recipe: str
    power_w: float | None
    results: tuple[MethodResult, ...]
    left: int
    linear: float

    def within(self, kind: str) -> list[MethodResult]:
        """Return the results of a kind of budget, `shots` or `time`, on the bench as it is."""
        return [one for one in self.results if one.budget.kind == kind and not one.sweep]

    @property
    def sweeps(self) -> Mapping[str, Mapping[str, Mapping[float, Spread]]]:
        """Return test accuracies by imperfection, method and factor, in their order."""
        found: dict[str, dict[str, dict[float, Spread]]] = {}
        for one in self.results:
            if one.sweep:
                found.setdefault(one.sweep, {}).setdefault(one.method, {})[one.factor] = one.accuracy
        return found


def read_comparison(path: Path) -> Comparison:
    """Return what a comparison found so far.

    Raises:
        RunError: It is no comparison, or does not read.
    """
    record, trials = Run.open(path).record, read_trials(path)
    file = BenchFile.load(path / "instruments.yaml")
    power_w = file.config.power_w
    groups: dict[tuple[Budget, str, float, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.budget, trial.sweep, trial.factor, trial.method), []).append(trial)
    results = [_result(path, group, power_w) for group in groups.values()]
    kinds = list(dict.fromkeys(key[:3] for key in groups))
    results.sort(
        key=lambda one: (
            kinds.index((one.budget, one.sweep, one.factor)),
            -(one.accuracy.mean if one.accuracy.n else -1.0),
        )
    )
    recipe = str(record.configuration.get("recipe_name", ""))
    left = sum(not trial.done for trial in trials)
    linear = linear_on_inputs(load_task(read_recipe(file, recipe)[1].task))
    return Comparison(path, file.config.name, recipe, power_w, tuple(results), left, linear)


def _result(path: Path, trials: Sequence[Trial], power_w: float | None) -> MethodResult:
    first = trials[0]
    done = [trial for trial in trials if trial.result is not None]
    curves = tuple(_curve(path / trial.run, trial.seed) for trial in done)
    last = [Run.open(path / trial.run).metrics()[-1:] for trial in done]
    spent = [line[0] for line in last if line]
    times_s = [float(line["bench_s"]) for line in spent]
    aligned = [statistics.mean(curve.alignment) for curve in curves if curve.alignment]
    return MethodResult(
        first.method, first.budget, first.sweep, first.factor,
        Spread.of([float(trial.result["test_accuracy"]) for trial in done if trial.result is not None]),
        Spread.of([float(line["shots"]) for line in spent]),
        Spread.of(times_s),
        Spread.of([] if power_w is None else [power_w * time_s for time_s in times_s]),
        Spread.of(aligned),
        curves,
        tuple(dict.fromkeys(trial.failure for trial in trials if trial.failure)),
    )  # fmt: skip


def _curve(run: Path, seed: int) -> Curve:
    lines = Run.open(run).metrics()
    # what a twin was asked says nothing of the bench
    validated = [line for line in lines if line["metrics"].get("validation_shots")]
    looked = [line for line in lines if "alignment" in line["metrics"]]
    return Curve(
        seed,
        _column(validated, lambda line: line["shots"]),
        _column(validated, lambda line: line["bench_s"]),
        _column(validated, lambda line: line["metrics"]["validation_accuracy"]),
        _column(looked, lambda line: line["metrics"]["alignment"]),
    )


def _column(lines: Sequence[LoggedStep], of: Callable[[LoggedStep], float]) -> tuple[float, ...]:
    return tuple(float(of(line)) for line in lines)
