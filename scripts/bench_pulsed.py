"""Measure a training step with pulsed updates against torch's own and aihwkit's C++, and compare pulse responses.

Forward, backward and update of one 512x512 layer, batch 128. All run in this process, on one CPU thread, in turns,
on the same inputs; ratios are between lines of one run. What a pulsed update costs depends on how many pulses the
gradient asks for, so that three losses are measured, from next to none to streams of full length.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONPATH=. python scripts/bench_pulsed.py

aihwkit is no dependency of the project; how to install it: see `bench_crossbar.py`.
"""

import argparse
import importlib
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pnnlab.physics import (
    PULSE_PRESETS,
    ConstantStep,
    LinearStep,
    PulsedCells,
    PulseResponse,
    Pulses,
    SoftBounds,
    apply_pulses,
    balanced_pulses,
    draw_cells,
    multiply,
    pulsed_update,
)

_SIZE, _BATCH, _LR = 512, 128, 0.01
_ABSENT = "  (no package 'aihwkit': its lines are skipped; the docstring of bench_crossbar.py says how to install it)"
Loss = Callable[[Tensor], Tensor]
Step = Callable[[Loss], None]

# aihwkit's default device, which both sides use
_CONSTANT = PulseResponse(
    name="constant-step",
    source="Defaults of aihwkit's ConstantStepDevice.",
    law=ConstantStep(),
    step=0.001,
    low=-0.6,
    high=0.6,
    step_spread=0.3,
    asymmetry_spread=0.01,
    low_spread=0.3,
    high_spread=0.3,
    cycle_std=0.3,
)

# aihwkit's classes for our presets
_PEER_PRESETS = {
    "capacitor-li-2018": "CapacitorPresetDevice",
    "ecram-kim-2019": "EcRamMOPresetDevice",
    "ecram-tang-2018": "EcRamPresetDevice",
    "gokmen-vlasov-2016": "GokmenVlasovPresetDevice",
    "idealized-rasch-2019": "IdealizedPresetDevice",
    "reram-baseline-gong-2022": "ReRamArrayHfO2PresetDevice",
    "reram-gong-2018": "ReRamESPresetDevice",
    "reram-gong-2018-soft-bounds": "ReRamSBPresetDevice",
    "reram-optimised-gong-2022": "ReRamArrayOMPresetDevice",
}


@dataclass
class Layer:
    """A layer of pulsed cells, trained as a crossbar is: read, read the other way, pulse. `step` changes it.

    Attributes:
        w: Weights, shape `(n_rows, n_cols)`.
        x: Inputs, shape `(batch, n_rows)`.
        cells: The cells.
        read_variance: Variance of one read of each cell.
        generator: Source of all randomness.
        order: See `apply_pulses`.
    """

    w: Tensor
    x: Tensor
    cells: PulsedCells
    read_variance: Tensor | None
    generator: torch.Generator
    order: Literal["frozen", "sequential"] = "frozen"

    def step(self, loss: Loss) -> None:
        """Do one step of gradient descent."""
        variance, turned = self.read_variance, None if self.read_variance is None else self.read_variance.mT
        y = multiply(self.x, self.w, read_variance=variance, generator=self.generator).requires_grad_()
        (d,) = torch.autograd.grad(loss(y), y)
        multiply(d, self.w.mT, read_variance=turned, generator=self.generator)
        self.w = pulsed_update(self.w, self.x, d, self.cells, lr=_LR, generator=self.generator, order=self.order)


def torch_step(w: Tensor, x: Tensor) -> Step:
    """Return a step of torch's own gradient descent."""
    inputs, weights = x.clone().requires_grad_(), w.clone().requires_grad_()
    optimiser = torch.optim.SGD([weights], lr=_LR)

    def step(loss: Loss) -> None:
        inputs.grad = None
        optimiser.zero_grad()
        loss(inputs @ weights).backward()
        optimiser.step()

    return step


def aihwkit_step(device: str, w: Tensor, x: Tensor) -> Step:
    """Return a step of aihwkit's with its default periphery: 7-bit DAC, 9-bit ADC, output noise."""
    configs = importlib.import_module("aihwkit.simulator.configs")
    devices = importlib.import_module("aihwkit.simulator.configs.devices")
    config = configs.SingleRPUConfig(device=getattr(devices, device)())
    config.mapping.max_input_size = config.mapping.max_output_size = _SIZE
    layer = importlib.import_module("aihwkit.nn").AnalogLinear(_SIZE, _SIZE, bias=False, rpu_config=config)
    layer.set_weights(w.mT.contiguous())
    optimiser = importlib.import_module("aihwkit.optim").AnalogSGD(layer.parameters(), lr=_LR)
    optimiser.regroup_param_groups(layer)
    inputs = x.clone().requires_grad_()

    def step(loss: Loss) -> None:
        inputs.grad = None
        optimiser.zero_grad()
        loss(layer(inputs)).backward()
        optimiser.step()

    return step


def contestants(x: Tensor, generator: torch.Generator, sequential: bool) -> dict[str, Step]:
    """Return all training steps, each with a layer of its own."""
    w = (2.0 * torch.rand(_SIZE, _SIZE, generator=generator) - 1.0) / _SIZE**0.5
    variance = (0.02 * w.abs()) ** 2
    steps: dict[str, Step] = {"torch SGD": torch_step(w, x)}
    soft = replace(_CONSTANT, name="soft-bounds", law=SoftBounds())
    for name, response in (("constant step", _CONSTANT), ("soft bounds", soft)):
        cells = draw_cells(response, _SIZE, _SIZE, generator)
        inside = w.clamp(cells.low, cells.high)
        steps[f"pnnlab {name}"] = Layer(inside, x, cells, variance, generator).step
        if response is _CONSTANT:
            steps[f"pnnlab {name}, reads without noise"] = Layer(inside, x, cells, None, generator).step
        if sequential:
            steps[f"pnnlab {name}, pulse by pulse"] = Layer(inside, x, cells, variance, generator, "sequential").step
    if importlib.util.find_spec("aihwkit") is None:
        print(_ABSENT)
    else:
        for device in ("ConstantStepDevice", "SoftBoundsDevice"):
            steps[f"aihwkit C++ {device}"] = aihwkit_step(device, w, x)
    return steps


def bench_step(rounds: int) -> None:
    """Race the training steps for three losses."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)  # aihwkit's
    x = 2.0 * torch.rand(_BATCH, _SIZE, generator=generator) - 1.0
    target = torch.randn(_BATCH, _SIZE, generator=generator)
    losses: dict[str, tuple[Loss, float, int]] = {
        "mean over all outputs": (lambda y: ((y - target) ** 2).mean(), 2.0 / target.numel(), rounds),
        "mean over the batch": (lambda y: 0.5 * ((y - target) ** 2).sum() / _BATCH, 1.0 / _BATCH, rounds),
        "sum over the batch": (lambda y: 0.5 * ((y - target) ** 2).sum(), 1.0, 3),
    }
    for name, (loss, scale, n) in losses.items():
        pulses = balanced_pulses(x, scale * target, lr=_LR, step=_CONSTANT.mean_step, generator=generator)
        n_met = int(((pulses.rows != 0).sum(-1) * (pulses.columns != 0).sum(-1)).sum())
        print(
            f"squared error, {name}: about {len(pulses.rows) / _BATCH:.1f} slots a sample, "
            f"{n_met / _SIZE**2:.3g} coincidences a cell; {_SIZE}x{_SIZE}, batch {_BATCH}, 1 thread, {n} rounds"
        )
        steps = contestants(x, generator, sequential=True)
        times: dict[str, list[float]] = {key: [] for key in steps}
        for turn in range(n + 1):
            for key, step in steps.items():
                start = time.perf_counter()
                step(loss)
                if turn:
                    times[key].append(time.perf_counter() - start)
        peer = times.get("aihwkit C++ ConstantStepDevice", times["torch SGD"])
        over = "aihwkit C++ ConstantStepDevice" if "aihwkit C++ ConstantStepDevice" in times else "torch SGD"
        for key, taken in times.items():
            print(
                f"  {key:44s} best {min(taken) * 1e3:9.2f} ms, median {statistics.median(taken) * 1e3:9.2f} ms, "
                f"over {over}: best {min(taken) / min(peer):7.3f}, "
                f"median {statistics.median(taken) / statistics.median(peer):7.3f}"
            )


def without_spread(response: PulseResponse) -> PulseResponse:
    """Return the mean cell of a kind."""
    law = response.law
    if isinstance(law, LinearStep):
        law = replace(law, gamma_up_spread=0.0, gamma_down_spread=0.0)
    return replace(
        response, law=law, step_spread=0.0, asymmetry_spread=0.0, low_spread=0.0, high_spread=0.0, cycle_std=0.0
    )


def peer_curve(device_class: str, step: float, directions: list[int]) -> list[float]:
    """Return the weights that aihwkit's mean device takes, from 0, pulse after pulse."""
    configs = importlib.import_module("aihwkit.simulator.configs")
    device = getattr(importlib.import_module("aihwkit.simulator.presets.devices"), device_class)()
    for spread in (
        "dw_min_dtod", "up_down_dtod", "w_max_dtod", "w_min_dtod", "dw_min_std", "gamma_up_dtod", "gamma_down_dtod",
        "lifetime", "write_noise_std", "reference_std", "subtract_symmetry_point",
    ):  # fmt: skip
        if hasattr(device, spread):
            setattr(device, spread, type(getattr(device, spread))(0))
    # one slot for each call, and a rate at which its pulses are certain
    update = configs.UpdateParameters(desired_bl=1, fixed_bl=True, update_bl_management=False, update_management=False)
    tile = importlib.import_module("aihwkit.simulator.tiles").AnalogTile(
        1, 1, configs.SingleRPUConfig(device=device, update=update)
    )
    tile.set_learning_rate(10.0 * step)
    tile.set_weights(torch.zeros(1, 1))
    one, curve = torch.ones(1, 1), []
    for direction in directions:
        tile.update(one, -direction * one)
        curve.append(float(tile.get_weights()[0].flatten()[0]))
    return curve


def check_responses() -> None:
    """Print how far the mean cell of every preset is from aihwkit's."""
    print("mean cell of each preset, pulsed up and then down, against aihwkit's single-precision device")
    if importlib.util.find_spec("aihwkit") is None:
        print(_ABSENT)
        return
    for name, gap in response_gaps().items():
        print(f"  {name:30s} largest gap {gap:.1e}")


def response_gaps() -> dict[str, float]:
    """Drive the mean cell of every preset up and down; return its largest distance from the path of aihwkit's."""
    gaps = {}
    for name, device_class in _PEER_PRESETS.items():
        response = without_spread(PULSE_PRESETS[name])
        n = min(round(2.0 / response.step), 800)
        directions = [1] * n + [-1] * 2 * n
        theirs = peer_curve(device_class, response.step, directions)
        generator = torch.Generator().manual_seed(0)
        cells = draw_cells(response, 1, 1, generator, dtype=torch.float64)
        w, gap = torch.zeros(1, 1, dtype=torch.float64), 0.0
        for direction, expected in zip(directions, theirs, strict=True):
            column = torch.full((1, 1), direction, dtype=torch.int8)
            pulse = Pulses(torch.ones(1, 1, dtype=torch.int8), column, torch.tensor(0))
            w = apply_pulses(w, pulse, cells, generator=generator)
            gap = max(gap, abs(w.item() - expected))
        gaps[name] = gap
    return gaps


def main() -> None:
    """Run the race and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="rounds of a step (default 40; 3 for the last loss)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench_step(arguments.rounds)
    check_responses()


if __name__ == "__main__":
    main()
