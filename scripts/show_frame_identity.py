"""No frame is ever taken for another pattern's: Aravis's fake camera, whose pixels name their own frame.

    python scripts/show_frame_identity.py               # 1000 shots each way, about a quarter of an hour
    python scripts/show_frame_identity.py --shots 150   # past the wrap of the camera's counter

The camera is a GigE Vision server in a process of its own. Its pictures are a law of the frame's number, which wraps
from 65535 to 1 after 135 frames, and of its exposure register. The panel of this bench is that register: 16 patterns
are 16 brightnesses. So the pixels of a frame tell which pattern it is of, by their brightness, and whether it is a new
one, by its number, which goes on from shot to shot. Shots are measured by the system `slm-camera` as on any bench:
overlapped by the frames' time stamps, and strictly one after the other without them, without loss and with every tenth
packet of the network lost. For comparison: whole frames paired with patterns in the order in which they came.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from pnnlab.devices import Identity, RealClock, SpatialLightModulator, Trigger
from pnnlab.systems import Facilities, SlmCamera
from pnnlab_drivers.aravis.camera import AravisCamera
from scripts.peers import ADDRESS, FakeCamera, picture

LEVELS: Final = 16
SHAPE: Final = (16, 64)
"""One packet of pixels, besides the packets that begin and end a frame."""
FIRST_ID: Final = 65401
POLLING_S: Final = 105e-3
"""The fake camera looks for the first trigger of a run within 100 ms, for later ones 25 times a second."""
EXPOSURE_S: Final = 10e-3
BATCH: Final = 50


def exposure_us(level: int) -> int:
    """Return what the exposure register holds for a level: brightness 0.25 to 1, in even steps."""
    return round(1e4 * 10 ** (0.05 * level - 0.75))


class NamingCamera(AravisCamera):
    """Keeps a list of which setpoint stood at each software trigger, and knows how far the numbers of frames are."""

    def _open(self) -> None:
        super()._open()
        self.standing, self.first_id = -1, FIRST_ID
        self._last = FIRST_ID % 255 - 1
        self.triggered: list[int] = []

    def _trigger(self) -> None:
        super()._trigger()
        self.triggered.append(self.standing)

    @property
    def wrapped(self) -> bool:
        """Whether the numbers of frames began again."""
        return self.first_id + len(self.triggered) > 2**16

    def goes_on(self, number: int) -> bool:
        """Whether the number of a frame, modulo 255, comes after that of the last one that was asked about.

        A frame that is used again, or comes from before, does not. One trigger may make no frame or two: a busy
        computer repeats its command, and the fake camera does not tell the two apart.
        """
        ahead = (number - self._last) % 255
        self._last = number
        return 0 < ahead < 128

    def run_up(self, frame_id: int) -> None:
        """Take frames that nobody wants until their numbers are near one, as to the wrap; then one by a trigger."""
        while self.first_id < frame_id:
            self._take_note(Trigger.INTERNAL, 4)
        while not self._take_note(Trigger.SOFTWARE, 1):
            pass  # its packets were lost
        self.triggered = []

    def _take_note(self, trigger: Trigger, n: int) -> bool:
        """Take frames; note the number that comes after the last one that tells its own, and whether any does."""
        self.arm_frames(n, trigger=trigger)
        self.start()
        if trigger is Trigger.SOFTWARE:
            self.trigger()
        counters = self.collect(n, timeout_s=1.0).stamps.counters
        self.disarm()
        told = -1 if counters is None else int(counters.max(initial=-1))
        if told >= 0:
            self.first_id, self._last = told + 2, (told + 1) % 255
        return told >= 0

    def shine(self, level: int, token: int) -> None:
        """Let light of a level fall on the sensor."""
        self._handle.set_float_feature_value("ExposureTimeAbs", float(exposure_us(level)))
        self.standing = token


class RegisterPanel(SpatialLightModulator):
    """A panel of one pixel, which sets how bright the fake camera's picture is."""

    shape: ClassVar = (1, 1)
    levels: ClassVar = LEVELS
    pitch_m: ClassVar = 1e-3
    frame_period_s: ClassVar = 1e-3
    settle_s: ClassVar = 0.0

    def __init__(self, camera: NamingCamera) -> None:
        super().__init__("panel", clock=camera.clock)
        self._camera = camera

    def _open(self) -> None:
        pass

    def _identify(self) -> Identity:
        return Identity("pnnlab", "exposure register", "1")

    def _close(self) -> None:
        pass

    def _make_safe(self) -> None:
        pass

    def _write(self, levels: npt.NDArray[np.number]) -> None:
        self._camera.shine(int(levels[0, 0]), self._tokens - 1)


@dataclass(frozen=True)
class Found:
    """What came of one way of measuring.

    Attributes:
        way: What it is.
        loss: Share of packets that were lost.
        shots: How many were measured.
        wrong: How many of them have a frame of another pattern.
        retaken: How many had to be taken again.
        wrapped: Whether the counter of frames began again meanwhile.
        shot_s: Time for a shot in s.
    """

    way: str
    loss: float
    shots: int
    wrong: int
    retaken: int
    wrapped: bool
    shot_s: float


def pictures() -> npt.NDArray[np.uint8]:
    """Return all that the camera can show, shape `(LEVELS, 255, pixels)`, by level and number of the frame."""
    scales = [1 + math.log10(exposure_us(level) / 1e4) for level in range(LEVELS)]
    return np.array([[picture(k, SHAPE, scale).ravel() for k in range(255)] for scale in scales])


def names(counts: npt.NDArray[np.uint8], known: npt.NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Return level and number of each frame, as its pixels tell it; shape of `counts` is `(n, pixels)`."""
    told = []
    for frame in counts:
        fits = np.argwhere((known == frame).all(axis=2))
        told.append((int(fits[0, 0]), int(fits[0, 1])) if len(fits) == 1 else (-1, -1))
    return told


def bench(*, stamps: bool, retakes: int) -> tuple[NamingCamera, SlmCamera]:
    """Return an opened camera and the system that measures with it."""
    options = {
        "address": ADDRESS, "exposure_s": EXPOSURE_S, "readout_s": 0.0, "trigger_latency_s": POLLING_S,
        "stamps": "host" if stamps else "off", "frame_rate_hz": 100.0,
    }  # fmt: skip
    camera = NamingCamera("camera", NamingCamera.Options.model_validate(options), clock=RealClock())
    panel = RegisterPanel(camera)
    camera.open()
    panel.open()
    wiring = {
        "slm": "panel", "camera": "camera", "exposure_s": EXPOSURE_S, "retakes": retakes,
        "encoder": {"macropixels": (1, 1), "input_depth": 1.0},
        "decoder": {"bins": SHAPE, "region": {"top": 0, "left": 0, "height": SHAPE[0], "width": SHAPE[1]}},
    }  # fmt: skip
    config = SlmCamera.Config.model_validate(wiring)
    return camera, SlmCamera("optics", config, {"slm": panel, "camera": camera}, Facilities(camera.clock))


def levels_of(n: int) -> npt.NDArray[np.int64]:
    """Return patterns of which no two within sixteen are alike."""
    return np.arange(n) * 7 % LEVELS


def measured(n: int, *, lost_per_mille: int, stamps: bool, run_up_to: int = 0) -> Found:
    """Measure shots through the system, and ask the pixels of each whose frame it is.

    Args:
        n: How many.
        lost_per_mille: Packets that are lost.
        stamps: Whether the camera's time stamps are used.
        run_up_to: The number of a frame up to which frames are taken before.
    """
    known, wrong = pictures(), 0
    with FakeCamera(lost_per_mille=lost_per_mille):
        camera, optics = bench(stamps=stamps, retakes=30)
        with camera:
            camera.run_up(run_up_to)
            begin_s = camera.clock.now_s()
            asked = levels_of(n)
            for begin in range(0, n, BATCH):
                levels = asked[begin : begin + BATCH]
                shots = optics.measure(levels[:, None] / LEVELS, np.zeros(1))
                told = names(np.rint(shots.y * 255).astype(np.uint8), known)
                asked_for = zip(levels.tolist(), shots.tokens.tolist(), told, strict=True)
                for level, _, name in sorted(asked_for, key=lambda each: each[1]):
                    wrong += not camera.goes_on(name[1]) or name[0] != level
            took_s = camera.clock.now_s() - begin_s
    way = f"{optics.mode}, {'by time stamps' if stamps else 'one after the other'}"
    return Found(way, lost_per_mille / 1000, optics.n_shots, wrong, optics.n_retaken, camera.wrapped, took_s / n)


def in_order(n: int, *, lost_per_mille: int) -> Found:
    """Trigger once a pattern, and take the whole frames for the patterns in the order in which they came."""
    known = pictures()
    with FakeCamera(lost_per_mille=lost_per_mille):
        camera, optics = bench(stamps=False, retakes=0)
        panel = optics.devices["slm"]
        assert isinstance(panel, SpatialLightModulator)  # noqa: S101
        with camera:
            begin_s, asked = camera.clock.now_s(), levels_of(n)
            camera.arm_frames(n, trigger=Trigger.SOFTWARE)
            camera.start()
            whole: list[npt.NDArray[np.number]] = []
            for level in asked.tolist():
                panel.write(np.full((1, 1), level, np.uint8))
                camera.trigger()
                frames = camera.collect(1, timeout_s=POLLING_S + EXPOSURE_S)
                intact = np.ones(frames.stamps.count, bool) if frames.stamps.intact is None else frames.stamps.intact
                whole += [counts.ravel().copy() for counts in frames.counts[intact]]
            took_s = camera.clock.now_s() - begin_s
    told = names(np.array(whole), known)
    wrong = sum(name[0] != level for name, level in zip(told, asked.tolist(), strict=False))
    way = "naive: in the order of coming"
    return Found(way, lost_per_mille / 1000, len(told), wrong, 0, camera.wrapped, took_s / n)


def table(found: Sequence[Found]) -> Table:
    """Return the figures, a row a way."""
    made = Table("acquisition", "packets lost", "shots", "wrong pairs", "taken again", "counter wrapped", "ms a shot")
    for one in found:
        made.add_row(
            one.way, f"{one.loss:.0%}", str(one.shots), str(one.wrong), str(one.retaken),
            "yes" if one.wrapped else "no", f"{1e3 * one.shot_s:.0f}",
        )  # fmt: skip
    return made


def main() -> int:
    """Measure every way and print the table; 1 if any pair of the system's is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shots", type=int, default=1000, help="shots each way")
    shots = parser.parse_args().shots
    found = [
        measured(shots, lost_per_mille=lost_per_mille, stamps=stamps)
        for stamps in (True, False)
        for lost_per_mille in (0, 100)
    ]
    naive = [in_order(min(shots, 300), lost_per_mille=lost_per_mille) for lost_per_mille in (0, 100)]
    Console(width=120).print(table([*found, *naive]))
    return int(any(one.wrong for one in found))


if __name__ == "__main__":
    sys.exit(main())
