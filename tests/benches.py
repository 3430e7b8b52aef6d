"""Small simulated benches for tests, made in Python."""

from dataclasses import dataclass, field
from typing import Any

from pnnlab.devices import SimulatedClock
from pnnlab.systems import Facilities, SlmCamera
from pnnlab_drivers.sim.camera import SimCamera
from pnnlab_drivers.sim.optical_table import OpticalTable
from pnnlab_drivers.sim.slm import SimSlm


@dataclass
class OpticalBench:
    """An 8 x 8 panel, a scattering medium and an 8 x 8 sensor; opened."""

    table: dict[str, Any] = field(default_factory=dict)
    slm: dict[str, Any] = field(default_factory=dict)
    camera: dict[str, Any] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)
    seed: int = 1

    def __post_init__(self) -> None:
        self.clock = SimulatedClock()
        medium = {"kind": "transmission-matrix", "seed": 7, "input_modes": (8, 8), "output_modes": (8, 8)}
        options = OpticalTable.Options.model_validate({"medium": medium, **self.table})
        self.plant = OpticalTable("table", options, clock=self.clock, seed=self.seed)
        panel = SimSlm.Options.model_validate({"shape": (8, 8), **self.slm})
        self.panel = SimSlm("slm", panel, clock=self.clock, plant=self.plant).open()
        # a mean of 0.2 of full scale: 1e6 photons/s, 2 ms, 0.6 electrons each
        sensor = {"sensor": (8, 8), "gain_counts_per_electron": 0.17, **self.camera}
        self.sensor = SimCamera(
            "camera", SimCamera.Options.model_validate(sensor), clock=self.clock, plant=self.plant
        ).open()
        wiring = {
            "slm": "slm", "camera": "camera", "exposure_s": 2e-3, "encoder": {"macropixels": (8, 8)},
            "decoder": {"bins": (8, 8)}, **self.system,
        }  # fmt: skip
        self.optics = SlmCamera(
            "optics", SlmCamera.Config.model_validate(wiring), {"slm": self.panel, "camera": self.sensor},
            Facilities(self.clock),
        )  # fmt: skip

    def state(self) -> dict[str, object]:
        return self.plant.state()

    def restore(self, state: dict[str, object]) -> None:
        self.plant.restore(state)


def exact_bench(**changes: Any) -> OpticalBench:
    """Return a bench in double precision without noise and without quantisation, with every mismatch on."""
    return OpticalBench(
        table={"precision": "float64", "medium_mismatch": 0.3, **changes.pop("table", {})},
        slm={
            "quantised": False, "bend_rad": 0.3, "gain_spread": 0.05, "flatness_rad": 0.4, "crosstalk_px": 0.4,
            "settling_s": 1e-4, "data_sheet_settle_s": 30e-3, **changes.pop("slm", {}),
        },
        camera={"quantised": False, "noise": 0.0, "bit_depth": 16, "gain_counts_per_electron": 2.0},
        system={"precision": "float64", **changes.pop("system", {})},
        **changes,
    )  # fmt: skip
