"""Time a large simulated optical system that stays on its torch device, beside the bare Fourier transforms in it.

A panel of 1920x1200 pixels with a control for every second one, two phase screens with free space between them, and a
camera of as many pixels. Forward: controls to levels, light, counts with shot noise, normalised outputs, without a
detour through the host's memory (`SimCamera.simulate`). Backward: the exact gradient by all controls
(`System.expected`). The baseline multiplies the spectra of the same padded grids by a transfer function, and no more.
It can take longer than all of a shot: pnnlab's propagation leaves out rows that are empty or cut off, a quarter of the
work at padding 2, and works in pieces that stay in the cache.

Run from the root of the repository: `PYTHONPATH=. python scripts/bench_simulation.py --torch-device cuda`.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from pnnlab.bench import Bench
from pnnlab.physics import AngularSpectrum
from pnnlab.systems import System
from pnnlab_drivers.sim.camera import SimCamera

BENCH = """
bench: {{ name: large-table, clock: simulated }}
plants:
  table:
    driver: sim-optical-table
    options:
      torch_device: "{torch_device}"
      medium:
        kind: phase-screens
        screens: 2
        distance: "5 mm"
        strength: "1 rad"
        correlation: "40 um"
        wavelength: "532 nm"
devices:
  slm: {{ driver: sim-slm, plant: table, options: {{ shape: [{h}, {w}] }} }}
  camera: {{ driver: sim-camera, plant: table, options: {{ sensor: [{h}, {w}], gain_counts_per_electron: 0.17 }} }}
systems:
  optics:
    kind: slm-camera
    slm: slm
    camera: camera
    exposure: "2 ms"
    encoder: {{ macropixels: [{h}, {half}] }}
    decoder: {{ bins: [{h}, {half}] }}
"""


def best_s(run: Callable[[], object], repeats: int, torch_device: torch.device) -> float:
    """Return the best time of a call; the first one warms up."""
    times = []
    for _ in range(repeats + 1):
        begin_s = time.perf_counter()
        run()
        if torch_device.type == "cuda":
            torch.cuda.synchronize(torch_device)
        times.append(time.perf_counter() - begin_s)
    return min(times[1:])


def bare(shape: tuple[int, int], batch: int, torch_device: torch.device) -> Callable[[], Tensor]:
    """Return three products of spectra with a transfer function, on the grids that propagation pads to."""
    space = AngularSpectrum(shape, pitch_m=8e-6, wavelength_m=532e-9, distance_m=5e-3)
    transfer = torch.polar(torch.ones(space.padded_shape), torch.rand(space.padded_shape)).to(torch_device)
    field = torch.polar(torch.ones(batch, *shape), torch.rand(batch, *shape)).to(torch_device)

    def run() -> Tensor:
        light = field
        for _ in range(3):
            spectrum = torch.fft.fft2(light, s=space.padded_shape)
            light = torch.fft.ifft2(spectrum * transfer)[..., : shape[0], : shape[1]]
        return light

    return run


def simulated(system: System, x: Tensor, theta: Tensor) -> Tensor:
    """Return one noisy shot of each input, without leaving the torch device."""
    camera = system.sensor
    assert isinstance(camera, SimCamera)  # noqa: S101 (the bench above has this one)
    (levels,) = system.to_setpoints(*system.encode(x, theta))
    return system.decode(camera.simulate(levels))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-device", default="cpu")
    parser.add_argument("--shape", type=int, nargs=2, default=(1200, 1920), metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    (h, w), batch, place = arguments.shape, arguments.batch, torch.device(arguments.torch_device)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instruments.yaml"
        path.write_text(BENCH.format(h=h, w=w, half=w // 2, torch_device=place), encoding="utf-8")
        with Bench.from_file(path) as bench:
            system = bench.systems["optics"]
            x = torch.zeros(batch, system.n_in, device=place)
            theta = torch.rand(system.n_controls, device=place, requires_grad=True)

            def forward() -> Tensor:
                with torch.no_grad():
                    return simulated(system, x, theta)

            def backward() -> None:
                theta.grad = None
                system.expected(*system.encode(x, theta)).square().mean().backward()

            y = forward()
            baseline = best_s(bare((h, w), batch, place), arguments.repeats, place)
            times = {
                "noisy shots, forward": best_s(forward, arguments.repeats, place),
                "exact gradient, forward and backward": best_s(backward, arguments.repeats, place),
            }
    print(f"panel and camera {h}x{w}, {system.n_controls:,} controls, {y.shape[1]:,} outputs, batch {batch}, "
          f"on {place}; outputs on {y.device}")  # fmt: skip
    print(f"  {'Fourier transforms alone, forward':40s} {baseline / batch * 1e3:9.1f} ms a shot")
    for what, time_s in times.items():
        print(f"  {what:40s} {time_s / batch * 1e3:9.1f} ms a shot, {time_s / baseline:.2f} times as long")
    if place.type == "cuda":
        print(f"  memory: {torch.cuda.max_memory_allocated(place) / 2**30:.1f} GiB at most")


if __name__ == "__main__":
    main()
