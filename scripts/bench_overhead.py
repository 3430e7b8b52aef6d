"""Measure what pnnlab adds to bare driver calls: a shot, a limit check, and whether anything grows.

The devices here answer at once from memory, so that everything that is left is pnnlab's own work. The baseline makes
the driver's calls by hand: arm, load, start, read, disarm, with buffers that exist already.

Run from the root of the repository: `PYTHONPATH=. python scripts/bench_overhead.py`.
"""

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pnnlab.devices import (
    DAC,
    Camera,
    Identity,
    Limits,
    RegionOfInterest,
    SimulatedClock,
    SpatialLightModulator,
    Stamps,
    Trigger,
)
from pnnlab.systems import Facilities, SlmCamera

Numbers = npt.NDArray[np.number]
Floats = npt.NDArray[np.floating]


class Instant:
    """What the devices here share: nothing to connect to."""

    def _open(self) -> None: ...
    def _close(self) -> None: ...
    def _make_safe(self) -> None: ...
    def _start(self) -> None: ...
    def _disarm(self) -> None: ...
    def _wait(self, timeout_s: float) -> None: ...

    def _identify(self) -> Identity:
        return Identity("pnnlab", type(self).__name__, "1", "1")


class InstantSlm(Instant, SpatialLightModulator):
    """A panel that forgets what it is told."""

    shape = (256, 256)
    levels = 256
    pitch_m = 8e-6
    frame_period_s = 1e-3
    settle_s = 5e-4
    max_sequence = 1024
    triggers = frozenset({Trigger.INTERNAL})

    def _write(self, levels: Numbers) -> None: ...
    def _arm_sequence(self, levels: Numbers, trigger: Trigger, period_s: float) -> None: ...


class InstantCamera(Instant, Camera):
    """A camera whose frames are there already; copying them into the caller's buffer is its transfer."""

    sensor_shape = (256, 256)
    bit_depth = 10
    readout_s = 1e-4
    max_delay_s = 1.0
    exposure_s = 2e-4
    triggers = frozenset({Trigger.HARDWARE})
    roi = RegionOfInterest(0, 0, 256, 256)
    counter_modulus = 65536
    stamp_error_s = 1e-6
    frame = np.random.default_rng(0).integers(0, 1024, (256, 256)).astype(np.uint16)

    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None: ...

    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> int:
        self._first_s, self._taken = self.clock.now_s() + delay_s, 0
        return 0

    def _read(self, out: Numbers, timeout_s: float) -> Stamps:
        out[...] = self.frame
        numbers = self._taken + np.arange(len(out))
        self._taken += len(out)
        return Stamps(
            len(out), self.exposure_s, numbers % 65536, np.asarray(self._first_s + 1e-3 * numbers, np.float64)
        )


class InstantDac(Instant, DAC):
    """A converter of 1024 channels."""

    n_outputs = 1024
    max_update_rate_hz = 1e6
    max_samples = 0
    waveform_triggers = frozenset[Trigger]()
    present = np.zeros(1024)

    @property
    def present_v(self) -> Floats:
        """See `DAC.present_v`."""
        return self.present

    def _write(self, volts: Floats) -> None: ...


def best_us(run: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return best and median time of a call in us."""
    times = []
    for _ in range(rounds):
        begin_s = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin_s)
    return min(times) * 1e6, statistics.median(times) * 1e6


def bench_measure(rounds: int, grown: int) -> None:
    """Compare a measured batch with bare driver calls; then measure many and look whether anything grows."""
    clock, batch = SimulatedClock(), 64
    slm, camera = InstantSlm("slm", clock=clock).open(), InstantCamera("camera", clock=clock).open()
    config = SlmCamera.Config.model_validate(
        {
            "slm": "slm", "camera": "camera", "exposure_s": 2e-4, "encoder": {"macropixels": (32, 32)},
            "decoder": {"bins": (32, 32)},
        }
    )  # fmt: skip
    system = SlmCamera("optics", config, {"slm": slm, "camera": camera}, Facilities(clock))
    rng = np.random.default_rng(0)
    x, theta = rng.random((batch, 1024)).astype(np.float32), rng.random(1024).astype(np.float32)
    patterns = rng.integers(0, 256, (batch, 256, 256)).astype(np.uint8)
    ring = np.empty((batch, 256, 256), np.uint16)

    def bare() -> None:
        camera.arm_frames(batch, trigger=Trigger.HARDWARE, delay_s=5e-4, out=ring)
        slm.arm_sequence(patterns, trigger=Trigger.INTERNAL, period_s=1e-3)
        camera.start()
        slm.start()
        camera.read(batch, timeout_s=1.0)
        slm.wait(1.0)
        slm.disarm()
        camera.disarm()

    def raw() -> None:
        camera._arm_frames(batch, Trigger.HARDWARE, 5e-4)
        slm._arm_sequence(patterns, Trigger.INTERNAL, 1e-3)
        camera._read(ring, 1.0)

    for run in (raw, bare, lambda: system.measure(x, theta)):
        run()
    hooks, calls, whole = (best_us(run, rounds) for run in (raw, bare, lambda: system.measure(x, theta)))
    print(f"batch of {batch}, patterns and frames of 256x256, {rounds} rounds; us a shot, best (median)")
    for what, (best, median) in {
        "driver hooks alone": hooks, "bare device calls (limits, buffers, counters)": calls, "system.measure": whole,
    }.items():  # fmt: skip
        print(f"  {what:48s} {best / batch:8.2f} ({median / batch:8.2f})")
    over = (whole[0] - calls[0]) / batch, (whole[1] - calls[1]) / batch
    print(f"  overhead of measure over bare calls              {over[0]:8.2f} ({over[1]:8.2f})   allowed: 50")
    reports = []
    for _ in range(4):
        begin_s, shots = time.perf_counter(), 0
        while shots < grown // 4:
            system.measure(x, theta)
            shots += batch
        gc.collect()
        reports.append(((time.perf_counter() - begin_s) / shots * 1e6, sys.getallocatedblocks()))
    print(f"over {grown} shots, quarter by quarter: us a shot " + ", ".join(f"{t:.1f}" for t, _ in reports)
          + "; blocks of memory in use " + ", ".join(str(n) for _, n in reports))  # fmt: skip


def bench_limits(rounds: int) -> None:
    """Time a write of 1024 channels with and without its checks."""
    dac = InstantDac("dac", clock=SimulatedClock(), limits={"voltage": Limits(-5, 5)}).open()
    volts = np.random.default_rng(0).uniform(-4, 4, 1024)
    bare, checked = best_us(lambda: dac._write(volts), rounds), best_us(lambda: dac.write(volts), rounds)
    limits = dac.limits("voltage")
    check = best_us(lambda: limits.check(volts, who="dac: voltage", unit="V"), rounds)
    print(f"write of 1024 channels, us, best (median): driver hook {bare[0]:.2f} ({bare[1]:.2f}), "
          f"checked write {checked[0]:.2f} ({checked[1]:.2f}), "
          f"the limit check in it {check[0]:.2f} ({check[1]:.2f})   allowed: 20")  # fmt: skip


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--shots", type=int, default=100_000, help="how many shots to look for growth in")
    arguments = parser.parse_args()
    bench_limits(2000)
    bench_measure(arguments.rounds, arguments.shots)


if __name__ == "__main__":
    main()
