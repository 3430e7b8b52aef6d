"""The light path between a virtual display and a picture that an emulated camera takes.

    python -m scripts.plants.optical_path --bench scripts/benches/optical_loop_sim.yaml --display :7.0 \
        --framebuffer Xvfb_screen0 --picture build/optical_loop.png

Whenever something is drawn on the display, what its framebuffer holds goes through panel, medium and camera of a bench
of simulated devices, and the counts replace the picture. When nothing is drawn the picture is taken anew now and then,
with other noise, as a camera that is exposed again would have it. Ends when its standard input ends, and then tells how
long after drawing pictures were there: on an overloaded computer light may be late, and readings wrong.
"""

import argparse
import contextlib
import json
import os
import select
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from pnnlab.bench import Bench
from pnnlab.devices import Camera, SpatialLightModulator
from scripts.plants.virtual_display import Framebuffer

__all__ = ["DrawingWatch", "LightPath", "write_picture"]

_AGAIN_S: Final = 0.02
"""A picture that is older is taken anew."""
_BITS: Final = 8
"""Cameras of up to so many bits are given a picture of 8 bits, others one of 16, left-justified."""


class LightPath:
    """Panel, medium and sensor of a simulated bench, settled and without any time of their own.

    Args:
        bench: Open, with a `sim-slm` and a `sim-camera` on one plant.
        system: The system that joins them.
    """

    def __init__(self, bench: Bench, system: str) -> None:
        devices = bench.systems[system].devices
        self._camera: Any = devices["camera"]
        self.shape = cast(SpatialLightModulator, devices["slm"]).shape
        self.bit_depth = cast(Camera, devices["camera"]).bit_depth

    def expose(self, levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint16]:
        """Return one frame of levels of shape `shape`: counts with noise, shape `(h, w)` of the sensor."""
        counts = self._camera.simulate(torch.as_tensor(levels[None]))
        return np.asarray(counts[0].cpu().numpy()).astype(np.uint16)


class DrawingWatch:
    """Tells when something was drawn on an X display, even if it is what was there before.

    Args:
        display: Its name.
    """

    def __init__(self, display: str) -> None:
        from Xlib.display import Display
        from Xlib.ext import damage

        self._display: Any = Display(display)
        self._display.damage_query_version()
        self._damage = self._display.screen().root.damage_create(damage.DamageReportNonEmpty)
        self._clear()

    def wait(self, timeout_s: float) -> float | None:
        """Return when something was drawn since the last call that said so, as soon as it was; else `None`.

        The time is the server's, on this computer's monotonic clock, whenever the event is looked at.
        """
        if not self._display.pending_events():
            select.select([self._display.fileno()], [], [], timeout_s)
        ages_s = []
        while self._display.pending_events():
            event = self._display.next_event()
            if hasattr(event, "timestamp"):
                ages_s.append((int(1e3 * time.monotonic()) - event.timestamp) % 2**32 / 1e3)
        if not ages_s:
            return None
        self._clear()
        return time.monotonic() - float(max(ages_s))

    def close(self) -> None:
        """End the connection."""
        self._display.close()

    def _clear(self) -> None:
        self._display.damage_subtract(self._damage)
        self._display.flush()


def write_picture(counts: npt.NDArray[np.uint16], bit_depth: int, path: Path) -> None:
    """Replace a picture file at once by counts of some bits, left-justified in 8 or 16."""
    if bit_depth <= _BITS:
        picture = Image.fromarray((counts << (_BITS - bit_depth)).astype(np.uint8))
    else:
        picture = Image.fromarray(counts << (16 - bit_depth))
    aside = path.with_suffix(".part")
    picture.save(aside, format="png", compress_level=1)
    os.replace(aside, path)


def _ended() -> threading.Event:
    """Return an event that is set once the standard input has ended."""
    event = threading.Event()

    def listen() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        event.set()

    threading.Thread(target=listen, daemon=True).start()
    return event


def _hurry() -> None:
    """Go before all ordinary processes, where the system allows it: light does not wait for a busy computer."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        return
    with contextlib.suppress(AttributeError, OSError):
        os.nice(-10)


def main(arguments: Sequence[str] | None = None) -> None:
    """Take pictures until the standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, required=True, help="bench file of the simulated devices")
    parser.add_argument("--system", default="optics", help="system of that bench")
    parser.add_argument("--display", required=True, help="X display, as :7.0")
    parser.add_argument("--framebuffer", type=Path, required=True, help="file that the X server keeps it in")
    parser.add_argument("--allowed", type=float, default=0.025, help="a later picture, in s, is told as late")
    parser.add_argument("--picture", type=Path, required=True, help="file that the camera takes")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    _hurry()
    ended, framebuffer, watch = _ended(), Framebuffer(args.framebuffer), DrawingWatch(args.display)
    args.picture.parent.mkdir(parents=True, exist_ok=True)
    due_s: list[float] = []
    with Bench.from_file(args.bench) as bench:
        path = LightPath(bench, args.system)
        if framebuffer.shape != path.shape:
            parser.error(f"the display has {framebuffer.shape} pixels, the panel of {args.bench} {path.shape}")
        for _ in range(2):  # the first exposure takes long
            watch.wait(0.0)
            write_picture(path.expose(framebuffer.levels()), path.bit_depth, args.picture)
        print("ready", flush=True)
        while not ended.is_set():
            drawn_s = watch.wait(_AGAIN_S)
            write_picture(path.expose(framebuffer.levels()), path.bit_depth, args.picture)
            if drawn_s is not None:
                due_s.append(time.monotonic() - drawn_s)
    args.picture.unlink(missing_ok=True)
    late = sum(due > args.allowed for due in due_s)
    told = {
        "patterns": len(due_s),
        "late": late,
        "median_s": float(np.median(due_s or [0])),
        "most_s": max(due_s or [0]),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
