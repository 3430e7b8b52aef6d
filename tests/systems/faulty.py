"""A panel and a camera that misbehave as real ones do, on a plant that knows the truth."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from pnnlab.devices import SimulatedClock
from pnnlab.systems import Facilities, SlmCamera
from pnnlab_drivers.sim.camera import SimCamera
from pnnlab_drivers.sim.optical_table import OpticalTable
from pnnlab_drivers.sim.slm import SimSlm

FAULTS = ("miss", "late", "spurious", "drop", "repeat", "swap", "incomplete", "stall")
STAMP_ERROR_S = 10e-6


@dataclass
class FaultyBench:
    """A 4 x 4 panel behind a scattering medium; every frame tells which pattern it is of.

    Attributes:
        seed: Of what goes wrong, and when.
        faults: Probability of each of `FAULTS`, per frame.
        latency_s: Least and most time until a pattern appears.
        sequence_memory: Patterns that the panel keeps on board.
        stamps: Whether the camera tells times.
        counts: Whether it numbers frames.
        restarts_counter: Whether its numbers begin with each run.
        stale: Old frames that come before those of a run.
        nameless: Whether incomplete frames tell neither number nor time.
        trigger_latency_s: Longest time from a software trigger to its exposure.
        retakes: How often shots are taken again.
    """

    seed: int = 0
    faults: dict[str, float] = field(default_factory=dict)
    latency_s: tuple[float, float] = (0.0, 0.0)
    sequence_memory: int = 64
    stamps: bool = True
    counts: bool = True
    restarts_counter: bool = True
    stale: int = 0
    nameless: bool = False
    trigger_latency_s: float = 0.0
    retakes: int = 30

    def __post_init__(self) -> None:
        self.clock = SimulatedClock()
        medium = {"kind": "transmission-matrix", "seed": 7, "input_modes": (4, 4), "output_modes": (4, 4)}
        table = OpticalTable.Options.model_validate({"medium": medium})
        self.table = OpticalTable("table", table, clock=self.clock, seed=self.seed)
        slm = {
            "shape": (4, 4), "settling_s": 1e-3, "frame_rate_hz": 100.0, "sequence_memory": self.sequence_memory,
            "latency_s": self.latency_s,
        }  # fmt: skip
        camera = {
            "sensor": (4, 4), "bit_depth": 14, "gain_counts_per_electron": 2.0, "noise": 0.0, "counter_modulus": 32,
            "stamps": self.stamps, "stamp_error_s": STAMP_ERROR_S, "counts": self.counts,
            "restarts_counter": self.restarts_counter, "stale_frames": self.stale,
            "trigger_latency_s": self.trigger_latency_s,
            "faults": self.faults | {"late_by_s": (0.0, 15e-3), "stall_by_s": 50e-3, "nameless": self.nameless},
        }  # fmt: skip
        self.panel = SimSlm("slm", SimSlm.Options.model_validate(slm), clock=self.clock, plant=self.table)
        self.camera = SimCamera("camera", SimCamera.Options.model_validate(camera), clock=self.clock, plant=self.table)
        self.panel.open()
        self.camera.open()
        wiring = {
            "slm": "slm", "camera": "camera", "exposure_s": 2e-3, "retakes": self.retakes,
            "encoder": {"macropixels": (4, 4)}, "decoder": {"bins": (4, 4)},
        }  # fmt: skip
        devices = {"slm": self.panel, "camera": self.camera}
        self.optics = SlmCamera("optics", SlmCamera.Config.model_validate(wiring), devices, Facilities(self.clock))

    def repair(self) -> None:
        """Exchange what makes faults; the camera stays open."""
        healthy = SimCamera.Options.model_fields["faults"].default
        self.camera.options = self.camera.options.model_copy(update={"faults": healthy})

    def truth(self, x: npt.NDArray[np.floating], theta: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return what settled light gives, shape `(batch, n_out)`."""
        drive = self.optics.encode(torch.as_tensor(x), torch.as_tensor(theta))
        levels = torch.round(drive[0] % 1 * 256) % 256 / 256
        return self.optics.expected(levels).numpy()
