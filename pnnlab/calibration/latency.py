"""How late a setpoint takes effect after it was handed over."""

from typing import ClassVar, cast

import numpy as np
from pydantic import Field

from pnnlab.calibration._frame_latency import ladder_latency, pulse_latency
from pnnlab.calibration._options import RoutineOptions
from pnnlab.calibration._panel import Curve, Panel
from pnnlab.calibration._progress import Progress
from pnnlab.calibration._routine import Findings, Routine, mode_of
from pnnlab.calibration._stepped import SteppedStage
from pnnlab.calibration._triggered import TriggeredStage
from pnnlab.calibration._view import PanelSystem, view_of
from pnnlab.calibration._waveform_latency import waveform_latency
from pnnlab.quantities import Seconds
from pnnlab.records import CalibrationRecord
from pnnlab.systems import DacAdc, System

__all__ = ["Latency", "LatencyOptions"]

_PATTERNS = 2


class LatencyOptions(RoutineOptions):
    """The options of `latency`.

    Attributes:
        repeats: How often a setpoint is handed over.
        exposure_s: Light only; `null` takes the camera's read-out time, or the system's exposure where that is shorter.
        longest_s: Light only: how long frames go on after a hand-over; `null` takes three frame periods of the panel
            on top of twice what its data sheet says.
        inertia: Waveforms only: samples after which the circuit's answer to a step can be seen.
    """

    repeats: int = Field(default=30, ge=3)
    exposure_s: Seconds | None = Field(default=None, gt=0)
    longest_s: Seconds | None = Field(default=None, gt=0)
    inertia: int = Field(default=0, ge=0)


class Latency(Routine):
    """Hands over setpoints and looks when the reading begins to change.

    A panel that plays sequences tells by its pulse, which starts a frame whose stamp tells when. A panel that is
    written to does not: there, frames that follow each other as closely as the camera can are taken from before the
    hand-over to well after it, and what is on them tells; so it is with static voltages and their records. A converter
    that plays waveforms plays a step, and the record that was started with it shows at which sample it came.
    """

    kind: ClassVar[str] = "latency"
    summary: ClassVar[str] = "from the hand-over of a setpoint to its first effect"
    Options: ClassVar[type[RoutineOptions]] = LatencyOptions

    def applies(self, system: System) -> str:
        """See `Routine.applies`."""
        if isinstance(system, DacAdc) and system.mode == "steps":
            return system.no_overlap
        if isinstance(system, PanelSystem | DacAdc):
            return ""
        return "one call sets the rows and reads the columns, so that nothing can be late"

    def panels(self, record: CalibrationRecord) -> tuple[Panel, ...]:
        """See `Routine.panels`."""
        data = record.data
        marks = {
            name: (record.values[f"latency_{name}_s"].value, record.values[f"latency_{name}_s"].uncertainty)
            for name in ("least", "most")
            if record.values[f"latency_{name}_s"].is_finite
        }
        panels = []
        if "change" in data:
            x = np.asarray(data["frame_end_s"].values, np.float64)
            y = np.asarray(data["change"].values, np.float64)
            curve = Curve("frames", x.ravel(), y.ravel(), joined=False)
            panels.append(
                Panel("Change of the light", "end of the exposure after the hand-over", "s", "distance from the "
                      "old pattern", "1", (curve,), {}, marks)
            )  # fmt: skip
        if "step_v" in data:
            samples = np.asarray(data["sample"].values, np.float64)
            values = np.asarray(data["step_v"].values, np.float64)
            curves = tuple(Curve(f"channel {k}", samples, values[:, k]) for k in range(values.shape[1]))
            panels.append(Panel("Answer to a step", "sample after the step", "1", "mean record", "V", curves))
        if "latency_each_s" in data:
            each_s = np.asarray(data["latency_each_s"].values, np.float64)
            curve = Curve("latency", np.arange(len(each_s), dtype=np.float64), each_s, joined=False)
            levels = {name: value for name, (value, _) in marks.items()}
            panels.append(Panel("Each repeat", "repeat", "1", "latency", "s", (curve,), levels))
        return tuple(panels)

    def _measure(self, system: System, options: RoutineOptions, progress: Progress) -> Findings:
        chosen = cast(LatencyOptions, options)
        rng = np.random.default_rng(chosen.seed)
        if isinstance(system, DacAdc) and system.mode == "waveform":
            return waveform_latency(
                system, repeats=chosen.repeats, inertia=chosen.inertia, rng=rng, progress=progress
            )  # fmt: skip
        view = view_of(cast(PanelSystem | DacAdc, system))
        patterns = view.random(_PATTERNS, rng)
        if mode_of(system) == "sequence":
            triggered = TriggeredStage(view, patterns)
            with triggered.exposing(self._exposure_s(triggered, chosen)):
                return pulse_latency(triggered, repeats=chosen.repeats, rng=rng, progress=progress)
        stage = SteppedStage(view, patterns)
        longest_s = 3 * stage.slm.frame_period_s + 2 * stage.slm.latency_s[1]
        if chosen.longest_s is not None:
            longest_s = chosen.longest_s
        with stage.exposing(self._exposure_s(stage, chosen)):
            return ladder_latency(stage, repeats=chosen.repeats, longest_s=longest_s, rng=rng, progress=progress)

    @staticmethod
    def _exposure_s(stage: TriggeredStage | SteppedStage, options: LatencyOptions) -> float:
        if options.exposure_s is not None:
            return options.exposure_s
        camera = stage.camera
        # shorter than its read-out an exposure makes the ladder hardly finer, but darker
        return min(camera.exposure_s, max(camera.readout_s, camera.limits("exposure").low))
