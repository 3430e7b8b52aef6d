"""A simulated liquid-crystal phase modulator."""

import math
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator

from pnnlab.devices import DeviceOptions, Identity, Limits, SettingValue, SpatialLightModulator, Trigger
from pnnlab.errors import AcquisitionError
from pnnlab.physics import PhaseModulator
from pnnlab.quantities import Hertz, Metres, Radians, Seconds
from pnnlab_drivers.sim._panel_table import table_of

__all__ = ["SimSlm"]

Pattern = npt.NDArray[np.number]


class SimSlmOptions(DeviceOptions):
    """The options of the driver `sim-slm`.

    Attributes:
        shape: Pixels `[h, w]`.
        levels: Grey levels over 2π.
        quantised: Whether levels are whole numbers; off for tests of gradients.
        pitch_m: Distance of neighbouring pixels.
        frame_rate_hz: Patterns per second at most.
        settling_s: Time constant of the liquid crystal.
        data_sheet_settle_s: What the data sheet says of settled light, right or wrong; six time constants if not given.
        latency_s: Least and most time from hand-over until the panel changes, for a pattern that is written or
            triggered and for the first of a sequence; drawn evenly each time.
        hidden_latency_s: Time on top of that, which the data sheet conceals.
        sequence_memory: Patterns on board; 0 for a panel that is driven as a display.
        mismatch: Scales every hidden deviation below; 0 switches them off.
        bend_rad: Largest deviation of the mean phase response from a straight line.
        gain_spread: Relative spread of the pixels' phase stroke.
        flatness_rad: Root mean square of the panel's flatness error.
        crosstalk_px: Width (standard deviation) of the fringing field between pixels.
        dead_fraction: Part of the pixels that do not move.
        serial: What the panel reports.
    """

    shape: tuple[int, int] = (64, 64)
    levels: int = Field(default=256, ge=2, le=65536)
    quantised: bool = True
    pitch_m: Metres = 8e-6
    frame_rate_hz: Hertz = 60.0
    settling_s: Seconds = 5e-3
    data_sheet_settle_s: Seconds | None = None
    latency_s: tuple[Seconds, Seconds] = (0.0, 0.0)
    hidden_latency_s: Seconds = Field(default=0.0, ge=0)
    sequence_memory: int = Field(default=4096, ge=0)
    mismatch: float = 1.0
    bend_rad: Radians = 0.0
    gain_spread: float = 0.0
    flatness_rad: Radians = 0.0
    crosstalk_px: float = Field(default=0.0, ge=0)
    dead_fraction: float = Field(default=0.0, ge=0, le=1)
    serial: str = "SIM-SLM-1"

    @model_validator(mode="after")
    def _check_latency(self) -> Self:
        least_s, most_s = self.latency_s
        if not 0 <= least_s <= most_s:
            raise ValueError(f"latency is {least_s:g} s to {most_s:g} s; write the least first, neither below 0")
        return self


class SimSlm(SpatialLightModulator):
    """A reflective liquid-crystal panel in the beam of a `PanelTable`.

    It takes a pattern a frame period. Each appears after a latency, in the order in which they were handed over and a
    frame period apart at least; pulses mark when. The safe blank waits for nothing: it replaces what is left of a
    sequence.
    """

    Options: ClassVar[type[DeviceOptions]] = SimSlmOptions
    needs_plant: ClassVar[bool] = True
    options: SimSlmOptions

    @property
    def shape(self) -> tuple[int, int]:
        """See `SpatialLightModulator.shape`."""
        return self.options.shape

    @property
    def levels(self) -> int:
        """See `SpatialLightModulator.levels`."""
        return self.options.levels

    @property
    def dtype(self) -> np.dtype[np.number]:
        """See `SpatialLightModulator.dtype`."""
        return super().dtype if self.options.quantised else np.dtype(np.float64)

    @property
    def pitch_m(self) -> float:
        """See `SpatialLightModulator.pitch_m`."""
        return self.options.pitch_m

    @property
    def frame_period_s(self) -> float:
        """See `SpatialLightModulator.frame_period_s`."""
        return 1 / self.options.frame_rate_hz

    @property
    def settle_s(self) -> float:
        """See `SpatialLightModulator.settle_s`: six time constants leave 0.25 % of a step."""
        told_s = self.options.data_sheet_settle_s
        return 6 * self.options.settling_s if told_s is None else told_s

    @property
    def latency_s(self) -> tuple[float, float]:
        """See `SpatialLightModulator.latency_s`."""
        return self.options.latency_s

    @property
    def max_sequence(self) -> int:
        """See `SpatialLightModulator.max_sequence`."""
        return self.options.sequence_memory

    @property
    def triggers(self) -> frozenset[Trigger]:
        """See `SpatialLightModulator.triggers`."""
        return frozenset({Trigger.INTERNAL, Trigger.SOFTWARE} if self.options.sequence_memory else ())

    # Hooks

    def _hard_limits(self) -> dict[str, Limits]:
        top = self.levels - 1 if self.options.quantised else math.nextafter(self.levels, 0)
        return {"level": Limits(0, top)}

    def _open(self) -> None:
        self._table = table_of(self)
        self._table.attach_panel(
            self._specimen(), levels=self.levels, pitch_m=self.pitch_m, settling_s=self.options.settling_s
        )

    def _specimen(self) -> PhaseModulator:
        """Make this panel, with the errors that are frozen into it."""
        options, table = self.options, self._table
        generator = table.specimen(f"panel {self.name}")
        scale, shape, dtype = options.mismatch, self.shape, table.dtype
        gain = 1 + scale * options.gain_spread * torch.randn(shape, generator=generator, dtype=dtype)
        flatness = scale * options.flatness_rad * _smooth(torch.randn(shape, generator=generator, dtype=dtype))
        dead = torch.rand(shape, generator=generator, dtype=dtype) < scale * options.dead_fraction
        return PhaseModulator(
            self.shape,
            stroke=gain,
            response_rad=torch.tensor([scale * options.bend_rad], dtype=table.dtype),
            flatness_rad=flatness,
            dead=dead if dead.any() else None,
            crosstalk_px=scale * options.crosstalk_px,
        ).to(table.torch_device)

    def _identify(self) -> Identity:
        return Identity("pnnlab", "simulated phase SLM", self.options.serial, "1")

    def _close(self) -> None:
        self._queue: Pattern | None = None

    def _make_safe(self) -> None:
        now_s = self.clock.now_s()
        start_s = max(now_s + self._draw_latency_s(), self._table.scheduled_s)
        self._table.show(np.zeros((1, *self.shape), self.dtype), start_s=start_s, handed_s=now_s)

    def _settings(self) -> dict[str, SettingValue]:
        return {
            "shape": list(self.shape), "levels": self.levels, "pitch_m": self.pitch_m,
            "frame_period_s": self.frame_period_s, "settle_s": self.settle_s, "latency_s": list(self.latency_s),
        }  # fmt: skip

    def _write(self, levels: Pattern) -> None:
        self._show(levels[None].copy(), range(self._tokens - 1, self._tokens))

    def _arm_sequence(self, levels: Pattern, trigger: Trigger, period_s: float) -> None:
        self._queue, self._first_token = levels.copy(), self._tokens - len(levels)
        self._sequence_trigger, self._period_s, self._shown = trigger, period_s, 0

    def _start(self) -> None:
        if self._sequence_trigger is Trigger.INTERNAL:
            self._show_next(len(self._armed()), self._period_s)

    def _trigger(self) -> None:
        queue = self._armed()
        if self._shown == len(queue):
            raise AcquisitionError(f"{self.name}: all {len(queue)} patterns were shown; arm a new sequence")
        self._show_next(1)

    def _wait(self, timeout_s: float) -> None:
        missing = len(self._armed()) - self._shown
        deadline_s = self.clock.now_s() + timeout_s
        done_s = self._table.last_change_s + self.frame_period_s
        if missing or done_s > deadline_s:
            self.clock.sleep_until(deadline_s)
            left = f"{missing} patterns were not triggered" if missing else "the sequence still plays"
            raise AcquisitionError(f"{self.name}: after {timeout_s:g} s {left}")
        self.clock.sleep_until(done_s)

    def _disarm(self) -> None:
        self._queue = None

    def _armed(self) -> Pattern:
        if self._queue is None:
            raise AcquisitionError(f"{self.name}: no sequence is armed")
        return self._queue

    def _show_next(self, n: int, period_s: float = 0.0) -> None:
        """Show the next patterns of the armed sequence."""
        first, stop = self._shown, self._shown + n
        self._show(self._armed()[first:stop], range(self._first_token + first, self._first_token + stop), period_s)
        self._shown = stop

    def _show(self, levels: Pattern, tokens: range, period_s: float = 0.0) -> None:
        """Hand patterns over as soon as the panel takes one, and let them appear a latency later."""
        table, frame_s = self._table, self.frame_period_s
        self.clock.sleep_until(table.last_handed_s + frame_s)
        now_s = self.clock.now_s()
        start_s = max(now_s + self._draw_latency_s(), table.last_change_s + frame_s)
        table.show(levels, start_s=start_s, period_s=period_s, handed_s=now_s, tokens=tokens)

    def _draw_latency_s(self) -> float:
        (least_s, most_s), hidden_s = self.options.latency_s, self.options.hidden_latency_s
        drawn_s = least_s
        if most_s > least_s:
            drawn_s = float(self._table.noise(f"slm {self.name} latency").uniform(least_s, most_s))
        return drawn_s + hidden_s


def _smooth(noise: torch.Tensor) -> torch.Tensor:
    """Return noise without its fast half, at unit variance: a panel is warped, not rough."""
    spectrum = torch.fft.rfft2(noise)
    rows = torch.fft.fftfreq(noise.shape[0])[:, None].abs()
    columns = torch.fft.rfftfreq(noise.shape[1])[None].abs()
    kept = torch.fft.irfft2(spectrum * torch.exp(-((rows**2 + columns**2) / (2 * 0.1**2))), s=noise.shape)
    warped: torch.Tensor = kept / kept.std()
    return warped
