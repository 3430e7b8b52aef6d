"""A panel and a camera that misbehave as real ones do, on a plant that knows the truth."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pnnlab.devices import SimulatedClock, Stamps, Trigger
from pnnlab.systems import Facilities, SlmCamera
from pnnlab_drivers.sim.camera import SimCamera
from pnnlab_drivers.sim.optical_table import OpticalTable
from pnnlab_drivers.sim.slm import SimSlm

Counts = npt.NDArray[np.number]
FAULTS = ("miss", "late", "spurious", "drop", "repeat", "swap", "cut")


@dataclass
class Luck:
    """What goes wrong, and how often.

    Attributes:
        rng: Decides.
        chance: Probability of each of `FAULTS`, per frame.
        latency_s: Least and most time until a pattern appears.
    """

    rng: np.random.Generator
    chance: dict[str, float] = field(default_factory=dict)
    latency_s: tuple[float, float] = (0.0, 0.0)

    def hits(self, fault: str) -> bool:
        return self.rng.random() < self.chance.get(fault, 0.0)


class LateSlm(SimSlm):
    """A panel on which patterns appear some time after they were handed over."""

    luck: Luck

    @property
    def latency_s(self) -> tuple[float, float]:
        return self.luck.latency_s

    def _show(self, levels: Counts, period_s: float = 0.0) -> None:
        start_s = self.clock.now_s() + float(self.luck.rng.uniform(*self.luck.latency_s))
        # a later pattern never overtakes an earlier one
        start_s = max(start_s, self._table.last_change_s)
        self._table.show(levels, start_s=start_s, period_s=period_s)


class FaultyCamera(SimCamera):
    """A camera that misses triggers, reacts late, fires by itself, and loses, repeats, swaps and cuts frames."""

    luck: Luck
    has_counter = True
    has_stamps = True
    stale_readings = 0

    @property
    def counter_modulus(self) -> int | None:  # type: ignore[override]
        return self.options.counter_modulus if self.has_counter else None

    @property
    def stamp_error_s(self) -> float | None:  # type: ignore[override]
        return 10e-6 if self.has_stamps else None

    def _arm_frames(self, n: int, trigger: Trigger, delay_s: float) -> int:
        old = deque(getattr(self, "_delivered", ()), maxlen=max(self.stale_readings, 1))
        self._queue = list(old)[-self.stale_readings :] if self.stale_readings else []
        self._delivered: list[tuple[Counts, int, float, bool]] = []
        return super()._arm_frames(n, trigger, delay_s)

    def _expose_at(self, starts_s: npt.NDArray[np.float64]) -> None:
        real = [
            s + self.luck.rng.exponential(5e-3) * self.luck.hits("late") for s in starts_s if not self.luck.hits("miss")
        ]
        if len(starts_s) > 1:
            real += [
                float(self.luck.rng.uniform(starts_s[0], starts_s[-1])) for _ in starts_s if self.luck.hits("spurious")
            ]
        super()._expose_at(np.sort(np.array(real, np.float64)))

    def _read(self, out: Counts, timeout_s: float) -> Stamps:
        deadline_s = self.clock.now_s() + timeout_s
        while len(self._queue) < len(out):
            row = np.empty_like(out[:1])
            stamps = super()._read(row, max(deadline_s - self.clock.now_s(), 0.0))
            if not stamps.count:
                break
            assert stamps.counters is not None and stamps.start_s is not None
            if self.luck.hits("drop"):
                continue
            intact = not self.luck.hits("cut")
            if not intact:
                row[0, row.shape[1] // 2 :] = 0
            start_s = float(stamps.start_s[0]) + self.luck.rng.uniform(-10e-6, 10e-6)
            frame = (row[0], int(stamps.counters[0]), start_s, intact)
            self._queue += [frame] * (1 + self.luck.hits("repeat"))
            if len(self._queue) > 1 and self.luck.hits("swap"):
                self._queue[-2:] = self._queue[:-3:-1]
        came, self._queue = self._queue[: len(out)], self._queue[len(out) :]
        for k, frame in enumerate(came):
            out[k] = frame[0]
        self._delivered += came
        return Stamps(
            len(came), self.exposure_s,
            np.array([f[1] for f in came], np.int64) if self.has_counter else None,
            np.array([f[2] for f in came], np.float64) if self.has_stamps else None,
            np.array([f[3] for f in came], bool),
        )  # fmt: skip


@dataclass
class FaultyBench:
    """A 4 x 4 panel behind a scattering medium; every frame tells which pattern it is of."""

    luck: Luck
    sequence_memory: int = 64
    stamps: bool = True
    counters: bool = True
    stale: int = 0
    retakes: int = 30

    def __post_init__(self) -> None:
        self.clock = SimulatedClock()
        medium = {"kind": "transmission-matrix", "seed": 7, "input_modes": (4, 4), "output_modes": (4, 4)}
        table = OpticalTable.Options.model_validate({"medium": medium})
        self.table = OpticalTable("table", table, clock=self.clock, seed=1)
        slm = LateSlm.Options.model_validate(
            {"shape": (4, 4), "settling_s": 1e-3, "frame_rate_hz": 100.0, "sequence_memory": self.sequence_memory}
        )
        self.panel = LateSlm("slm", slm, clock=self.clock, plant=self.table)
        self.panel.luck = self.luck
        camera = FaultyCamera.Options.model_validate(
            {"sensor": (4, 4), "bit_depth": 14, "gain_counts_per_electron": 2.0, "noise": 0.0, "counter_modulus": 32}
        )
        self.camera = FaultyCamera("camera", camera, clock=self.clock, plant=self.table)
        self.camera.luck = self.luck
        self.camera.has_stamps, self.camera.has_counter = self.stamps, self.counters
        self.camera.stale_readings = self.stale
        self.panel.open()
        self.camera.open()
        wiring = {
            "slm": "slm", "camera": "camera", "exposure_s": 2e-3, "retakes": self.retakes,
            "encoder": {"macropixels": (4, 4)}, "decoder": {"bins": (4, 4)},
        }  # fmt: skip
        devices = {"slm": self.panel, "camera": self.camera}
        self.optics = SlmCamera("optics", SlmCamera.Config.model_validate(wiring), devices, Facilities(self.clock))

    def truth(self, x: npt.NDArray[np.floating], theta: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return what settled light gives, shape `(batch, n_out)`."""
        import torch

        drive = self.optics.encode(torch.as_tensor(x), torch.as_tensor(theta))
        levels = torch.round(drive[0] % 1 * 256) % 256 / 256
        return self.optics.expected(levels).numpy()
