"""Measure how busy training keeps the hardware: physics-aware training in real time on paced simulated devices.

Duty is the time that the devices alone need for an epoch's shots over the time that the epoch takes. Each bench is
trained three times: by the loop that is written by hand (show, sleep, grab, then back-propagate the batch), by pnnlab
without micro-batches, and by pnnlab as it comes. The twin's backward pass takes half as long as the measurement.

Run from the root of the repository: `PYTHONPATH=. python scripts/bench_duty.py`.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from pnnlab.bench import Bench
from pnnlab.devices import ADC, DAC, Camera, SpatialLightModulator, Trigger
from pnnlab.methods import PhysicsAware, Setting, physical_layers
from pnnlab.systems import DacAdc, SlmCamera, System
from pnnlab.training import build_model, build_twins, load_task, read_recipe
from pnnlab.twins import DigitalTwin

_FOLDER = Path(__file__).parent / "benches"
_BACKWARD = 0.5
"""Time of the backward pass over that of the measurement."""


class HeavyTwin(DigitalTwin):
    """A twin whose vector-Jacobian product takes a chosen time, by computing."""

    def __init__(self, inner: DigitalTwin, seconds_per_shot: float) -> None:
        super().__init__(inner.interface)
        self._inner, self._per_shot_s = inner, seconds_per_shot
        self._ballast = torch.randn(128, 128)

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`; asked once in a backward pass, at the measured point."""
        end_s = time.perf_counter() + self._per_shot_s * len(drive[0])
        y: Tensor = self._inner(*drive)
        with torch.no_grad():
            while time.perf_counter() < end_s:
                torch.mm(self._ballast, self._ballast)
        return y


def show_sleep_grab(system: SlmCamera, x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Measure as scripts do: one pattern, a constant sleep, one frame."""
    slm, camera = cast(SpatialLightModulator, system.devices["slm"]), cast(Camera, system.devices["camera"])
    (levels,) = system.to_setpoints(*system.encode(x, theta))
    frames = []
    for pattern in (np.rint(levels) % slm.levels).astype(slm.dtype):
        slm.write(pattern)
        time.sleep(slm.settle_s)
        camera.arm_frames(1, trigger=Trigger.SOFTWARE)
        camera.start()
        camera.trigger()
        frames.append(camera.read(1, timeout_s=1.0).counts)
        camera.disarm()
    return system.decode(np.concatenate(frames))


def play_record(system: DacAdc, x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Measure as scripts do: one waveform, one record."""
    dac, adc = cast(DAC, system.devices["dac"]), cast(ADC, system.devices["adc"])
    (waveforms,) = system.to_setpoints(*system.encode(x, theta))
    records = []
    for volts in waveforms:
        adc.arm_records(1, n_samples=len(volts), rate_hz=system.config.rate_hz, trigger=Trigger.HARDWARE)
        dac.arm_waveform(volts, rate_hz=system.config.rate_hz, trigger=Trigger.INTERNAL)
        adc.start()
        dac.start()
        records.append(adc.read(1, timeout_s=1.0).volts)
        dac.wait(1.0)
        dac.disarm()
        adc.disarm()
    return system.decode(np.concatenate(records))


class ByHand(torch.autograd.Function):
    """The plain loop's layer: measured forward, backward through the twin at the controls that were asked for."""

    @staticmethod
    def forward(ctx, x: Tensor, theta: Tensor, system: System, twin: DigitalTwin) -> Tensor:  # type: ignore[no-untyped-def]
        """Measure."""
        ctx.save_for_backward(x, theta)
        ctx.system, ctx.twin = system, twin
        take: Callable[[System, np.ndarray, np.ndarray], np.ndarray] = (
            show_sleep_grab if isinstance(system, SlmCamera) else play_record  # type: ignore[assignment]
        )
        return torch.from_numpy(take(system, x.numpy(), theta.numpy()).astype(np.float32))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
        """Differentiate the twin."""
        x, theta = (t.detach().requires_grad_() for t in ctx.saved_tensors)
        with torch.enable_grad():
            y = ctx.twin(*ctx.system.encode(x, theta))
        return (*torch.autograd.grad(y, (x, theta), grad), None, None)


class HandLayer(nn.Module):
    """A physical layer of the plain loop."""

    def __init__(self, like: nn.Module) -> None:
        super().__init__()
        self.like = like

    def forward(self, x: Tensor) -> Tensor:
        """Measure by hand."""
        layer = physical_layers(self.like)[0]
        return cast(Tensor, ByHand.apply(x, layer.controls, layer.system, layer.twin))  # type: ignore[no-untyped-call]


def train_epoch(name: str, way: str, *, shots: int, depth: int) -> dict[str, float]:
    """Train an epoch on a fresh bench; return what it took."""
    with Bench.from_file(_FOLDER / f"{name}.yaml") as bench:
        _, recipe = read_recipe(bench.file)
        layers = recipe.network.layers * depth
        recipe = recipe.model_copy(update={"network": recipe.network.model_copy(update={"layers": layers})})
        system = bench.systems[layers[0]]
        torch.manual_seed(0)
        task = load_task(recipe.task)
        twins = build_twins(recipe, bench.systems)
        # the inner twin's own product is part of the time, and shorter than it
        heavy = {key: HeavyTwin(twin, _BACKWARD * system.shot_s) for key, twin in twins.items()}
        model = build_model(recipe, task, bench.systems, cast(dict[str, DigitalTwin], heavy))
        if way == "by hand":
            physical = set(physical_layers(model))
            model = nn.Sequential(*(HandLayer(m) if m in physical else m for m in model))
        method = PhysicsAware()
        method.prepare(model, Setting(task.grid[0] * task.grid[1], task.n_classes, 1, recipe.learning_rate))
        method.micro_batch = recipe.micro_batch if way == "pnnlab" else None
        optimiser = torch.optim.Adam(model.parameters(), lr=recipe.learning_rate)
        x, y = (t.repeat(-(-shots // len(t)), *[1] * (t.ndim - 1))[:shots] for t in task.train)
        loss = nn.functional.cross_entropy
        batches = list(zip(x.split(recipe.batch), y.split(recipe.batch), strict=True))
        method.step(model, *batches[0], loss, optimiser)  # warm up
        before, retaken = system.n_shots, system.n_retaken
        begin_s = time.perf_counter()
        for inputs, targets in batches:
            method.step(model, inputs, targets, loss, optimiser)
        wall_s = time.perf_counter() - begin_s
        measured = len(x) * depth if way == "by hand" else system.n_shots - before
        return {
            "wall_s": wall_s, "shots": measured, "duty": measured * system.shot_s / wall_s,
            "shot_ms": system.shot_s * 1e3, "retaken": system.n_retaken - retaken,
        }  # fmt: skip


def main() -> None:
    """Train every bench every way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benches", nargs="+", default=["paced_display", "paced_sequence", "paced_waveform"])
    parser.add_argument("--seconds", type=float, default=8.0, help="length of an epoch at full duty (default 8)")
    parser.add_argument("--depth", type=int, nargs="+", default=[1, 3], help="layers on the same devices (default 1 3)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("bench            layers  way                    shots   ms/shot   wall s    duty   retaken   speed-up")
    for name in arguments.benches:
        for depth in arguments.depth:
            plain = 0.0
            for way in ("by hand", "pnnlab, whole batches", "pnnlab"):
                with Bench.from_file(_FOLDER / f"{name}.yaml") as bench:
                    recipe = read_recipe(bench.file)[1]
                    per_epoch = arguments.seconds / bench.systems[recipe.network.layers[0]].shot_s / depth
                shots = max(recipe.batch, round(per_epoch / recipe.batch) * recipe.batch)
                found = train_epoch(name, way, shots=shots, depth=depth)
                plain = plain or found["wall_s"]
                print(
                    f"{name:16s} {depth:6d}  {way:21s} {found['shots']:6.0f} {found['shot_ms']:9.3f} "
                    f"{found['wall_s']:8.2f} {found['duty']:7.3f} {found['retaken']:9.0f} "
                    f"{plain / found['wall_s']:9.2f}x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
