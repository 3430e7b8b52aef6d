"""Time that the camera drivers add to the vendors' own calls, and their throughput beside them, in one run.

    python scripts/bench_cameras.py                # all libraries that are installed
    python scripts/bench_cameras.py --frames 200   # steadier

Cameras are pypylon's emulation, Aravis's in a process of its own over GigE Vision, and Micro-Manager's DemoCamera.
*Bulk* is frames a second of a run on the camera's own timer, each copied into a ring of the caller. *Waiting* is what a
frame costs that lies in the library's queue already: there the camera does not hide what a driver does. The raw loops
are the vendors' own: retrieve, copy, release. Raw and driver take turns; the best of each is told.
"""

import argparse
import importlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from pnnlab.devices import Camera, ExpectedIdentity, RealClock, RegionOfInterest, Trigger
from pnnlab.errors import DeviceError
from pnnlab_drivers.aravis.camera import AravisCamera
from pnnlab_drivers.basler.camera import BaslerCamera
from pnnlab_drivers.micromanager.camera import MicroManagerCamera
from scripts.peers import ADDRESS, FakeCamera

Ring = npt.NDArray[np.number]
Loop = Callable[[Ring, bool], float]
"""Fills a ring, at once or after all frames wait; returns the time from its first to its last row in s."""


@dataclass(frozen=True)
class Bench:
    """A camera with its own loop beside the driver's."""

    name: str
    shape: tuple[int, int]
    driver: Loop
    raw: Loop | None


def driver_loop(camera: Camera) -> Loop:
    """Return the loop of whoever uses pnnlab: blocks of frames into the ring."""

    def loop(ring: Ring, waiting: bool) -> float:
        n = len(ring)
        camera.arm_frames(n, trigger=Trigger.INTERNAL, out=ring)
        camera.start()
        if waiting:
            camera.wait(60.0)
        else:
            camera.read(1, timeout_s=5.0)
        begin_s = time.perf_counter()
        for left in range(n if waiting else n - 1, 0, -10):
            camera.read(min(10, left), timeout_s=30.0)
        took_s = time.perf_counter() - begin_s
        camera.disarm()
        return took_s

    return loop


def pylon_loop(device: BaslerCamera) -> Loop:
    """Return the vendor's own loop on the same opened camera."""
    camera: Any = device._camera
    pylon: Any = device._pylon

    def loop(ring: Ring, waiting: bool) -> float:
        n = len(ring)
        camera.MaxNumBuffer.Value = n
        camera.StartGrabbingMax(n, pylon.GrabStrategy_OneByOne)
        first = 0
        if waiting:
            while camera.NumReadyBuffers.Value < n:
                time.sleep(1e-3)
        else:
            camera.RetrieveResult(5000, pylon.TimeoutHandling_ThrowException).Release()
            first = 1
        begin_s = time.perf_counter()
        for row in ring[first:]:
            result = camera.RetrieveResult(5000, pylon.TimeoutHandling_ThrowException)
            if result.GrabSucceeded():
                with result.GetArrayZeroCopy() as pixels:
                    row[...] = pixels
            result.Release()
        took_s = time.perf_counter() - begin_s
        camera.StopGrabbing()
        return took_s

    return loop


def core_loop(device: MicroManagerCamera) -> Loop:
    """Return the loop of whoever uses MMCore alone."""
    link = device._opened
    core: Any = link.core

    def loop(ring: Ring, waiting: bool) -> float:
        n = len(ring)
        core.startSequenceAcquisition(link.label, n, 0.0, True)
        first = 0 if waiting else 1
        while core.getRemainingImageCount() < (n if waiting else 1):
            time.sleep(1e-3)
        if first:
            core.popNextImage()
        begin_s = time.perf_counter()
        for row in ring[first:]:
            while not core.getRemainingImageCount():
                time.sleep(0.5e-3)
            row[...] = core.popNextImage()
        took_s = time.perf_counter() - begin_s
        core.stopSequenceAcquisition(link.label)
        return took_s

    return loop


@contextmanager
def basler(shape: tuple[int, int], n: int) -> Iterator[Bench]:
    """Give pypylon's emulated camera."""
    options = BaslerCamera.Options.model_validate({"buffers": n, "features": {"WidthMax": 2048, "HeightMax": 2048}})
    who = ExpectedIdentity(serial="0815-0008")
    with BaslerCamera("camera", options, clock=RealClock(), expected=who) as camera:
        camera.configure(roi=RegionOfInterest(0, 0, *shape))
        yield Bench("pypylon's emulation", shape, driver_loop(camera), pylon_loop(camera))


@contextmanager
def aravis(shape: tuple[int, int], n: int) -> Iterator[Bench]:
    """Give Aravis's fake camera."""
    known = {"address": ADDRESS, "buffers": n, "gain": 1, "exposure_s": 1e-3, "frame_rate_hz": 200.0}
    options = AravisCamera.Options.model_validate(known)
    with FakeCamera(), AravisCamera("camera", options, clock=RealClock()) as camera:
        camera.configure(roi=RegionOfInterest(0, 0, *shape))
        yield Bench("Aravis's fake camera", shape, driver_loop(camera), None)


@contextmanager
def micromanager(shape: tuple[int, int], n: int) -> Iterator[Bench]:
    """Give Micro-Manager's DemoCamera."""
    mm_test_adapters = importlib.import_module("mm_test_adapters")  # it has no types

    known = {
        "adapters": Path(mm_test_adapters.device_adapter_path()), "library": "DemoCamera", "device": "DCam",
        "properties": {"FastImage": 1}, "exposure_s": 1e-3, "buffer_mib": 256,
    }  # fmt: skip
    options = MicroManagerCamera.Options.model_validate(known)
    with MicroManagerCamera("camera", options, clock=RealClock()) as camera:
        camera.configure(roi=RegionOfInterest(0, 0, *shape))
        yield Bench("MMCore's DemoCamera", shape, driver_loop(camera), core_loop(camera))


def row(bench: Bench, n: int, rounds: int) -> list[str]:
    """Measure one camera; return the cells of its row."""
    ring = np.zeros((n, *bench.shape), np.uint8)
    best: dict[tuple[str, bool], float] = {}
    for _ in range(rounds):
        for waiting in (False, True):
            for name, loop in (("driver", bench.driver), ("raw", bench.raw)):
                if loop is not None:
                    key = name, waiting
                    best[key] = min(best.get(key, np.inf), loop(ring, waiting) / (n if waiting else n - 1))
    driven_hz, driven_s = 1 / best["driver", False], best["driver", True]
    cells = [bench.name, f"{bench.shape[1]} x {bench.shape[0]}", f"{driven_hz:.1f}"]
    if bench.raw is None:
        return [*cells, "-", "-", f"{1e6 * driven_s:.0f}", "-", "-"]
    raw_hz, raw_s = 1 / best["raw", False], best["raw", True]
    more = [f"{raw_hz:.1f}", f"{driven_hz / raw_hz:.3f}", f"{1e6 * driven_s:.0f}", f"{1e6 * raw_s:.0f}"]
    return [*cells, *more, f"{1e6 * (driven_s - raw_s):+.0f}"]


def main() -> None:
    """Measure every camera whose library is installed, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60, help="frames of a run")
    parser.add_argument("--rounds", type=int, default=6, help="turns of raw and driver")
    chosen = parser.parse_args()
    os.environ["PYLON_CAMEMU"] = "9"
    table = Table("camera", "pixels", "frames/s", "raw", "ratio", "us a waiting frame", "raw", "added")
    for bench in (basler, aravis, micromanager):
        for shape in ((64, 64), (512, 512), (1024, 1024)):
            if bench is micromanager and shape == (1024, 1024):
                continue  # its sensor has 512 x 512 pixels
            with suppress(DeviceError, RuntimeError, ModuleNotFoundError), bench(shape, chosen.frames) as made:
                table.add_row(*row(made, chosen.frames, chosen.rounds))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
