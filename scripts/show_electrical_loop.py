"""Physics-aware training through a real firmware, beside the same circuit between simulated converters.

    python scripts/show_electrical_loop.py                       # 20 epochs on irises: some minutes
    python scripts/show_electrical_loop.py --port /dev/ttyACM0   # a real Uno with a circuit of your own

The firmware (StandardFirmata, machine code) is executed by simavr; its pulse-width pins drive a nonlinear circuit that
its analog pins measure. Both benches have one circuit, and converters of as many bits, but not of the same steps: a pin
makes code / 255 of the supply, or (code + 1) / 256, the simulated converter code / 256. How many test samples may come
out otherwise for that, and for rounding and noise of the readings, is worked out from the exact circuit.
"""

import argparse
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pnnlab.bench import Bench
from pnnlab.nn import PhysicalLayer
from pnnlab.runs import read_or_previous
from pnnlab.training import Outcome, build_model, load_task, read_recipe, train
from scripts.plants.avr_board import AvrBoard
from scripts.plants.electrical_loop import BENCH, NOISE_V, SUPPLY_V, circuit_of, real_bench, simulated_bench

Floats = npt.NDArray[np.float64]
_DRAWS = 1000
_SURE = 0.999


@dataclass(frozen=True, eq=False)
class Tested:
    """The test samples of a bench with given controls.

    Attributes:
        accuracy: Part of them that was told right.
        classes: What was told, shape `(n,)`.
        y: Outputs, shape `(n, n_out)`.
        exact: What the circuit gives without rounding and noise for the drives that were realised, same shape.
    """

    accuracy: float
    classes: npt.NDArray[np.int64]
    y: Floats
    exact: Floats


@dataclass(frozen=True)
class Agreement:
    """Two benches with the same controls.

    Attributes:
        real: Accuracy through the firmware.
        simulated: Accuracy on simulated converters.
        differing: Test samples that the two tell differently.
        explained: So many, or fewer, differ in 999 of 1000 draws of rounding and noise on the exact circuit.
        n: Test samples.
        error_v: Root mean square of the firmware's readings around the exact circuit, in V.
        error_due_v: What rounding and noise make of it.
    """

    real: float
    simulated: float
    differing: int
    explained: int
    n: int
    error_v: float
    error_due_v: float


def controls_of(run: Path) -> torch.Tensor:
    """Return the trained controls that a run has kept."""
    state, _ = read_or_previous(
        run / "checkpoints" / "last.pt", lambda file: torch.load(file, weights_only=True, map_location="cpu")
    )
    (raw,) = [value for name, value in state["model"].items() if name.endswith("raw_controls")]
    return torch.as_tensor(raw)


def tested(bench_file: Path, raw_controls: torch.Tensor, exact_bench: Path) -> Tested:
    """Measure the test samples with given controls."""
    with Bench.from_file(bench_file) as bench:
        _, recipe = read_recipe(bench.file)
        task = load_task(recipe.task)
        model = build_model(recipe, task, bench.systems, {})
        (layer,) = [module for module in model.modules() if isinstance(module, PhysicalLayer)]
        with torch.no_grad():
            layer.raw_controls.copy_(raw_controls)
            logits = model(task.test[0])
        shots = layer.last_measurement
        assert shots is not None  # noqa: S101 (just measured)
        y, drive = np.array(shots.y, np.float64), torch.from_numpy(np.array(shots.drive[0]))
    classes = logits.argmax(1).numpy()
    with Bench.from_file(exact_bench) as bench, torch.no_grad():
        exact = bench.systems["loop"].expected(drive).double().numpy()
    return Tested(float((classes == task.test[1].numpy()).mean()), classes, y, exact)


def compare(real: Path, simulated: Path, raw_controls: torch.Tensor) -> Agreement:
    """Return how far two benches agree with the same controls, and how far they should."""
    a, b = tested(real, raw_controls, simulated), tested(simulated, raw_controls, simulated)
    with Bench.from_file(simulated) as bench:
        _, recipe = read_recipe(bench.file)
        readout = build_model(recipe, load_task(recipe.task), bench.systems, {})[-1]
    rng = np.random.default_rng(0)
    lsb, noise = 1 / 1024, NOISE_V / SUPPLY_V

    def drawn(exact: Floats) -> npt.NDArray[np.int64]:
        y = exact + rng.uniform(-lsb / 2, lsb / 2, exact.shape) + noise * rng.standard_normal(exact.shape)
        told: npt.NDArray[np.int64] = readout(torch.from_numpy(y)).argmax(1).numpy()
        return told

    differing = [int((drawn(a.exact) != drawn(b.exact)).sum()) for _ in range(_DRAWS)]
    explained = int(np.quantile(differing, _SURE, method="higher"))
    return Agreement(
        a.accuracy, b.accuracy, int((a.classes != b.classes).sum()), explained, len(a.classes),
        SUPPLY_V * float(np.sqrt(((a.y - a.exact) ** 2).mean())),
        SUPPLY_V * float(np.hypot(lsb / np.sqrt(12), noise)),
    )  # fmt: skip


def run_loop(
    folder: Path, *, bench: Path = BENCH, port: Path | None = None, changes: Mapping[str, object] | None = None,
    runs: Path = Path("runs"),
) -> tuple[Outcome, Outcome, Agreement]:  # fmt: skip
    """Train through the firmware and on simulated converters; compare both with the controls of the first."""
    simulated = simulated_bench(bench, folder)
    board = AvrBoard(circuit_of(simulated), resets=False) if port is None else nullcontext()
    with board:
        at = board.port if isinstance(board, AvrBoard) else port
        assert at is not None  # noqa: S101 (one of the two)
        # what is executed may be slower than a real board
        options = {} if port else {"reset_on_open": False, "quick": "20 s"}
        real = real_bench(bench, folder, at, **options)
        ours = train(real, changes=changes, root=runs)
        agreement = compare(real, simulated, controls_of(ours.run))
    return ours, train(simulated, changes=changes, root=runs), agreement


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=Path, help="of a real board, instead of a firmware that is executed here")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    args = parser.parse_args()
    changes: dict[str, object] = {"seed": args.seed} | ({"epochs": args.epochs} if args.epochs else {})
    with tempfile.TemporaryDirectory() as folder:
        real, simulated, agreement = run_loop(Path(folder), port=args.port, changes=changes, runs=args.runs)
    print(f"trained through the firmware: {real.test_accuracy:.1%}, {real.shots} shots in {real.bench_s:.0f} s")
    print(f"trained on simulated converters: {simulated.test_accuracy:.1%}")
    print(f"the firmware's controls on both: {agreement.real:.1%} and {agreement.simulated:.1%};")
    print(
        f"{agreement.differing} of {agreement.n} test samples differ, rounding and noise explain up to "
        f"{agreement.explained}"
    )
    print(
        f"readings are {1e3 * agreement.error_v:.2f} mV around the exact circuit, rounding and noise make "
        f"{1e3 * agreement.error_due_v:.2f} mV"
    )


if __name__ == "__main__":
    main()
