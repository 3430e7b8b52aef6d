"""Devices and a plant that do nothing but keep a journal, named by the bench files of these tests."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from pnnlab.devices import (
    ADC,
    DAC,
    Camera,
    Clock,
    Device,
    DeviceOptions,
    Identity,
    Limits,
    RegionOfInterest,
    SettingValue,
    SpatialLightModulator,
    Stamps,
    Trigger,
)
from pnnlab.quantities import FrozenModel, Metres, Seconds

Array = npt.NDArray[np.number]


class TableOptions(FrozenModel):
    wavelength_m: Metres = 633e-9
    gain: float = 1.0
    fails: bool = False


class Table:
    """A plant that only remembers what its devices were told."""

    Options: ClassVar[type[TableOptions]] = TableOptions

    def __init__(self, name: str, options: TableOptions, *, clock: Clock, seed: int) -> None:
        if options.fails:
            raise RuntimeError("the lamp is broken")
        self.name, self.options, self.clock = name, options, clock
        self.generator = np.random.default_rng(seed)
        self.journal: list[str] = []

    def reseed(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def state(self) -> dict[str, object]:
        return {"generator": self.generator.bit_generator.state}

    def restore(self, state: dict[str, object]) -> None:
        saved = state["generator"]
        assert isinstance(saved, Mapping)
        self.generator.bit_generator.state = saved


class Options(DeviceOptions):
    shape: tuple[int, int] = (4, 4)
    settle_s: Seconds = 1e-3
    serial: str = "SIM-0001"
    marker: str = ""
    """File that gets a line whenever the outputs are made safe."""
    fails: Literal["never", "open", "safe", "close", "interrupted"] = "never"


class StandIn(Device):
    """What all stand-ins share: hooks that write the journal and fail on request."""

    Options: ClassVar[type[DeviceOptions]] = Options
    needs_plant: ClassVar[bool] = True
    options: Options

    def _note(self, what: str) -> None:
        if isinstance(self.plant, Table):
            self.plant.journal.append(f"{what} {self.name}")
        if self.options.fails == what:
            raise OSError(f"no answer to {what}")
        if self.options.fails == "interrupted" and what == "safe":
            raise KeyboardInterrupt

    def _open(self) -> None:
        self._note("open")

    def _identify(self) -> Identity:
        return Identity("pnnlab", type(self).__name__, self.options.serial, "1")

    def _close(self) -> None:
        self._note("close")

    def _make_safe(self) -> None:
        if self.options.marker:
            with Path(self.options.marker).open("a") as marker:
                marker.write(f"{self.name}\n")
        self._note("safe")

    def _settings(self) -> dict[str, SettingValue]:
        return {"shape": list(self.options.shape)}


class Panel(StandIn, SpatialLightModulator):
    levels = 256  # type: ignore[assignment]  # a constant serves as the property
    pitch_m = 8e-6  # type: ignore[assignment]  # the same
    frame_period_s = 1 / 60  # type: ignore[assignment]  # the same

    @property
    def shape(self) -> tuple[int, int]:
        return self.options.shape

    @property
    def settle_s(self) -> float:
        return self.options.settle_s

    def _write(self, levels: Array) -> None:
        self._note("write")


class Eye(StandIn, Camera):
    bit_depth = 8  # type: ignore[assignment]  # a constant serves as the property
    readout_s = 1e-3  # type: ignore[assignment]  # the same
    exposure_s = 1e-3  # type: ignore[assignment]  # the same
    triggers = frozenset({Trigger.SOFTWARE})  # type: ignore[assignment]  # the same

    @property
    def sensor_shape(self) -> tuple[int, int]:
        return self.options.shape

    @property
    def roi(self) -> RegionOfInterest:
        return RegionOfInterest(0, 0, *self.options.shape)

    def _configure(self, exposure_s: float | None, roi: RegionOfInterest | None) -> None:
        self._note("configure")

    def _arm_frames(self, n: int, trigger: Trigger) -> None:
        self._note("arm")

    def _read(self, out: Array, timeout_s: float) -> Stamps:
        raise NotImplementedError


class Supply(StandIn, DAC):
    """A power supply, not simulated."""

    needs_plant: ClassVar[bool] = False
    holds_outputs: ClassVar[bool] = False
    n_outputs = 2  # type: ignore[assignment]  # a constant serves as the property
    max_update_rate_hz = 1e3  # type: ignore[assignment]  # the same
    max_samples = 0  # type: ignore[assignment]  # the same
    waveform_triggers = frozenset()  # type: ignore[assignment,var-annotated]  # the same

    @property
    def present_v(self) -> npt.NDArray[np.floating]:
        return np.zeros(2)

    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"voltage": Limits(-10, 10)}

    def _write(self, volts: Array) -> None:
        self._note("write")


class Card(Supply, ADC):
    """A simulated card with two roles, and a quantity of its own."""

    needs_plant: ClassVar[bool] = True
    quantities: ClassVar[Mapping[str, str]] = {"temperature": "K"}
    range_v = (-1.0, 1.0)  # type: ignore[assignment]  # a constant serves as the property
    n_inputs = 2  # type: ignore[assignment]  # the same
    max_sample_rate_hz = 1e3  # type: ignore[assignment]  # the same
    triggers = frozenset({Trigger.INTERNAL})  # type: ignore[assignment]  # the same

    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> None:
        self._note("arm")

    def _read(self, out: Array, timeout_s: float) -> Stamps:
        raise NotImplementedError


class Unfinished(SpatialLightModulator):
    """A driver that lacks most of its methods."""


class NoPlant:
    """A class that is no plant."""


NOT_A_CLASS = 5
