"""Train through real drivers and on simulated devices with the same physics, and explain the difference.

    python scripts/show_optical_loop.py                  # 8 and 12 bits, some minutes
    python scripts/show_optical_loop.py --bits 8 --short # a minute

The real drivers are those of a panel on a display and of a Basler camera. The panel is an X server's screen, the camera
the vendor's own emulation, and between them a process takes what is on the screen through the physics of the simulated
bench (`scripts/plants`). `pnnlab train` trains on either bench by the same recipe with the same seed.

What is printed beside the accuracies: single readings of random patterns against what the physics says, with the
deviation that noise and rounding predict; and the test of the controls that were trained through real drivers, on
simulated devices with and without rounding and noise. The difference between both benches counts as explained if it is
no more than rounding moves that test by, three standard deviations of what noise does to it, and one sample.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from pnnlab.bench import Bench
from pnnlab.devices import Oracle
from pnnlab.methods import set_rule
from pnnlab.nn import ForwardRule
from pnnlab.runs import Run
from pnnlab.systems import SlmCamera
from pnnlab.training import Recipe, build_model, build_twins, linear_on_inputs, load_task
from scripts.plants.optical_loop import SIMULATED, OpticalLoop

REAL: Final = SIMULATED.with_name("optical_loop.yaml")
SHORT: Final = {
    "network": {"layers": ["optics"]}, "task": {"kind": "digits", "test": 120, "validation": 10, "train": 80},
    "epochs": 5, "batch": 10, "micro_batch": 10, "learning_rate": 0.06,
}  # fmt: skip
"""Changes of the recipe for a quick look, with one layer."""
_SHIPPED_BITS: Final = 8


@dataclass(frozen=True)
class Readings:
    """Single readings of random patterns.

    Attributes:
        n: How many.
        wrong: How many of them are nearer to what another pattern of the run would give.
        deviation: Root mean square distance from what the physics says.
        predicted: What noise and rounding make of it.
    """

    n: int
    wrong: int
    deviation: float
    predicted: float


@dataclass(frozen=True)
class Tests:
    """One model tested several times with other noise.

    Attributes:
        accuracy: Mean of all tests.
        noise: Standard deviation of one test by noise: samples flip independently, each with its own probability.
    """

    accuracy: float
    noise: float

    @classmethod
    def of(cls, right: torch.Tensor) -> "Tests":
        """Return what follows from which samples were right in which test, boolean, shape `(n_tests, n_samples)`."""
        n_tests, n_samples = right.shape
        share = right.double().mean(0)
        # unbiased: the variance of a mean of so few tests is too small by one part in n_tests
        variance = (share * (1 - share)).sum() * n_tests / max(n_tests - 1, 1) / n_samples**2
        return cls(float(share.mean()), float(variance.sqrt()))


@dataclass(frozen=True)
class Comparison:
    """What was found with one camera.

    Attributes:
        bits: Of the camera's counts.
        samples: How many a test has.
        real: Test accuracy, trained and tested through real drivers.
        simulated: The same on simulated devices, one a seed; the first seed is that of `real`.
        linear: A linear classifier on the pixels.
        untrained: The controls that training begins with, on simulated devices.
        again: The controls of `real`, tested on simulated devices.
        unrounded: The same with levels and counts that are not rounded.
        exact: The same without noise, too.
        readings: Single readings through real drivers.
        shots: Shots of the training through real drivers, the test included.
        shot_s: Time of one in s.
        light: What the light path told: patterns, how many pictures of them were late, and how long they took.
    """

    bits: int
    samples: int
    real: float
    simulated: Sequence[float]
    linear: float
    untrained: Tests
    again: Tests
    unrounded: Tests
    exact: Tests
    readings: Readings
    shots: int
    shot_s: float
    light: Mapping[str, float]

    @property
    def difference(self) -> float:
        """Return the difference of the same controls on both benches."""
        return abs(self.real - self.again.accuracy)

    @property
    def explained(self) -> float:
        """Return the difference that rounding, three standard deviations of noise, and one sample explain."""
        rounding = abs(self.unrounded.accuracy - self.again.accuracy)
        return rounding + 3 * self.again.noise + 1 / self.samples


def with_changes(bench: Path, folder: Path, name: str, changes: Mapping[str, Mapping[str, object]]) -> Path:
    """Write a copy of a bench file with other options of its devices."""
    yaml = YAML()
    data = yaml.load(bench)
    for device, options in changes.items():
        data["devices"][device]["options"].update(options)
    path = folder / f"{name}.yaml"
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(data, file)
    return path


def simulated_bench(folder: Path, bits: int, *, rounding: bool = True, noise: bool = True) -> Path:
    """Write the simulated bench with a camera of some bits and the same full scale."""
    gain = Bench.from_file(SIMULATED).file.config.devices["camera"].options.gain_counts_per_electron  # type: ignore[attr-defined]
    camera = {
        "bit_depth": bits, "gain_counts_per_electron": gain * 2 ** (bits - _SHIPPED_BITS), "quantised": rounding,
        "noise": 1.0 if noise else 0.0,
    }  # fmt: skip
    name = f"simulated-{bits}{'' if rounding else '-unrounded'}{'' if noise else '-exact'}"
    return with_changes(SIMULATED, folder, name, {"camera": camera, "slm": {"quantised": rounding}})


def train_by_command(bench: Path, runs: Path, seed: int, changes: Mapping[str, object]) -> dict[str, Any]:
    """Train with `pnnlab train`; return what it tells."""
    command = [sys.executable, "-m", "pnnlab", "train", "--bench", str(bench), "--runs", str(runs), "--json"]
    command += ["--seed", str(seed)]
    for key, value in changes.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(told)
    return found


def take_readings(real: Path, simulated: Path, n: int) -> Readings:
    """Show random patterns through real drivers and compare each reading with the physics."""
    with Bench.from_file(simulated) as twin:
        system, camera = cast(SlmCamera, twin.systems["optics"]), cast(Oracle, twin.devices["camera"])
        options: Any = twin.devices["camera"].options
        levels = np.random.default_rng(0).integers(0, 256, (n, system.n_controls))
        turns = levels / 256
        (patterns,) = system.to_setpoints(turns)
        counts = camera.expected(torch.as_tensor(np.rint(patterns))).numpy()
        due = system.decode(counts)
        gain, top = options.gain_counts_per_electron, 2**options.bit_depth - 1
        variance = gain * counts + (gain * options.read_noise_electrons) ** 2 + 1 / 12
        # the mean of a bin's pixels, as a fraction of full scale
        pixels = counts[0].size // due.shape[1]
        predicted = system.decode(variance) * top / (pixels * top**2)
        # where counts may be cut at the top they are no longer of this model
        free = system.decode(counts + 5 * np.sqrt(variance)) < 1 - 1 / top
    with Bench.from_file(real) as bench:
        optics = bench.systems["optics"]
        found = np.asarray(optics.measure(np.zeros((n, optics.n_in)), turns).y)
    distance = ((found[:, None] - due[None]) ** 2).mean(2)
    wrong = int((distance.argmin(1) != np.arange(n)).sum())
    deviation = float(np.sqrt(((found - due) ** 2)[free].mean()))
    return Readings(n, wrong, deviation, float(np.sqrt(predicted[free].mean())))


def tests_of(bench: Path, run: Path, *, repeats: int = 1, trained: bool = True) -> Tests:
    """Test a run's controls, or those that it began with, on a simulated bench."""
    recipe = _recipe(run)
    with Bench.from_file(bench) as opened:
        torch.manual_seed(recipe.seed)
        task = load_task(recipe.task)
        model = build_model(recipe, task, opened.systems, build_twins(recipe, opened.systems))
        if trained:
            state = torch.load(Run.open(run).checkpoint_path(), weights_only=True, map_location="cpu")
            model.load_state_dict(state["model"], strict=False)
        set_rule(model, ForwardRule.MEASURED)
        x, classes = task.test
        right = []
        for repeat in range(repeats):
            for plant in opened.plants.values():
                plant.reseed(1000 + repeat)
            with torch.no_grad():
                right.append(torch.cat([model(part) for part in x.split(64)]).argmax(1) == classes)
    return Tests.of(torch.stack(right))


def _recipe(run: Path) -> Recipe:
    return Recipe.model_validate(Run.open(run).record.configuration["recipe"])


def compare(
    bits: int, seeds: Sequence[int], changes: Mapping[str, object], n: int, folder: Path, runs: Path
) -> Comparison:
    """Train on both benches and explain the difference."""
    sim, picture = simulated_bench(folder, bits), folder / f"picture-{bits}.png"
    features = {"TestImageSelector": "Off", "ImageFileMode": "On", "ImageFilename": str(picture)}
    camera = {"pixel_format": f"Mono{bits}", "features": features}
    real = with_changes(REAL, folder, f"real-{bits}", {"camera": camera})
    with OpticalLoop(sim, picture) as loop:
        os.environ.update(loop.environment)
        readings = take_readings(real, sim, n)
        outcome = train_by_command(real, runs, seeds[0], changes)
    run = Path(outcome["run"])
    simulated = [train_by_command(sim, runs, seed, changes)["test_accuracy"] for seed in seeds]
    task = load_task(_recipe(run).task)
    unrounded = simulated_bench(folder, bits, rounding=False)
    exact = simulated_bench(folder, bits, rounding=False, noise=False)
    return Comparison(
        bits, len(task.test[1]), outcome["test_accuracy"], simulated, linear_on_inputs(task),
        untrained=tests_of(sim, run, trained=False), again=tests_of(sim, run, repeats=5),
        unrounded=tests_of(unrounded, run, repeats=5), exact=tests_of(exact, run),
        readings=readings, shots=outcome["shots"], shot_s=outcome["bench_s"] / outcome["shots"], light=loop.account,
    )  # fmt: skip


def table(found: Sequence[Comparison]) -> Table:
    """Return a table with a column for each camera."""
    rows: dict[str, Callable[[Comparison], str]] = {
        "linear classifier on the pixels": lambda c: f"{100 * c.linear:.1f} %",
        "untrained controls": lambda c: f"{100 * c.untrained.accuracy:.1f} %",
        "physics-aware, real drivers": lambda c: f"{100 * c.real:.1f} %",
        "physics-aware, simulated devices, each seed": lambda c: "  ".join(f"{100 * v:.1f} %" for v in c.simulated),
        "the real drivers' controls on simulated devices": lambda c: _told(c.again),
        "the same, not rounded": lambda c: _told(c.unrounded),
        "the same, neither rounded nor noisy": lambda c: f"{100 * c.exact.accuracy:.1f} %",
        "difference between the benches, same controls": lambda c: f"{100 * c.difference:.2f} %",
        "explained by rounding and noise": lambda c: f"{100 * c.explained:.2f} %",
        "readings that belong to another pattern": lambda c: f"{c.readings.wrong} of {c.readings.n}",
        "a reading's deviation from the physics": lambda c: f"{c.readings.deviation:.3g} of full scale",
        "what noise and rounding predict": lambda c: f"{c.readings.predicted:.3g} of full scale",
        "patterns whose light was late": lambda c: f"{c.light['late']} of {c.light['patterns']}",
        "light after the link, median and most": lambda c: (
            f"{1e3 * c.light['median_s']:.1f} ms, {1e3 * c.light['most_s']:.1f} ms"
        ),
        "shots through real drivers": lambda c: f"{c.shots}, {1e3 * c.shot_s:.0f} ms each",
    }  # fmt: skip
    shown = Table(title="Optical closed loop", title_justify="left")
    shown.add_column("")
    for each in found:
        shown.add_column(f"{each.bits} bits", justify="right")
    for label, cell in rows.items():
        shown.add_row(label, *(cell(each) for each in found))
    return shown


def _told(tests: Tests) -> str:
    return f"{100 * tests.accuracy:.1f} ± {100 * tests.noise:.1f} %"


def main() -> None:
    """Parse, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, nargs="+", choices=[8, 12], default=[8, 12])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="the first is trained on both benches")
    parser.add_argument("--readings", type=int, default=300, help="random patterns that are compared one by one")
    parser.add_argument("--short", action="store_true", help="one layer, few samples")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--json", type=Path, help="where to write the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    changes: Mapping[str, object] = SHORT if args.short else {}
    with tempfile.TemporaryDirectory() as folder:
        found = [compare(bits, args.seeds, changes, args.readings, Path(folder), args.runs) for bits in args.bits]
    Console().print(table(found))
    if args.json is not None:
        told = [{**asdict(each), "difference": each.difference, "explained": each.explained} for each in found]
        args.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
