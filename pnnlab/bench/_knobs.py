"""What of a device a person reads and sets by one word."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pnnlab.bench._names import NamedMapping
from pnnlab.devices import (
    ADC,
    DAC,
    Camera,
    CrossbarArray,
    Device,
    RegionOfInterest,
    Setpoint,
    SpatialLightModulator,
    Trigger,
)
from pnnlab.errors import AbilityError, SetpointError

__all__ = ["Knob", "knobs_of"]

Values = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Knob:
    """A quantity of an open device that is read, set or both.

    Attributes:
        device: The device's name.
        name: The quantity's.
        unit: Its SI unit; empty for numbers.
        shape: Of its values; empty for one value.
        is_output: Whether closing the device takes it to its safe state.
        getter: Returns the values now; `None` where they cannot be asked for.
        setter: Sets values and returns what was made of them; `None` where they cannot be set.
    """

    device: str
    name: str
    unit: str
    shape: tuple[int, ...]
    is_output: bool
    getter: Callable[[], Values] | None = None
    setter: Callable[[Values], Values] | None = None

    def read(self, index: Sequence[int] = ()) -> Values:
        """Return the values now, or one of them.

        Raises:
            AbilityError: They cannot be asked for.
            SetpointError: There is no such value.
        """
        if self.getter is None:
            raise AbilityError(f"{self.device}: {self.name} can be set, but the instrument cannot be asked for it")
        self._check(index)
        found: Values = np.asarray(self.getter(), np.float64)[tuple(index)]
        return found

    def write(self, value: float, index: Sequence[int] = ()) -> Values:
        """Set all values to a number, or one of them, and return what was made of it.

        Raises:
            AbilityError: It cannot be set, or not one by one.
            SetpointError: Outside the limits, or there is no such value; nothing was sent.
        """
        if self.setter is None:
            raise AbilityError(f"{self.device}: {self.name} is measured and cannot be set")
        self._check(index)
        values = np.full(self.shape, value)
        if index:
            if self.getter is None:
                raise AbilityError(f"{self.device}: {self.name} is set as a whole: leave out the index")
            values = np.array(self.getter(), np.float64)
            values[tuple(index)] = value
        made: Values = np.asarray(self.setter(values), np.float64)[tuple(index)]
        return made

    def _check(self, index: Sequence[int]) -> None:
        fits = len(index) == len(self.shape) and all(0 <= k < n for k, n in zip(index, self.shape, strict=True))
        if fits or not index:
            return
        first, last = [0] * len(self.shape), [n - 1 for n in self.shape]
        asked, low, high = (".".join(map(str, where)) for where in (index, first, last))
        known = f"{self.name}.{low} to {self.name}.{high}" if self.shape else f"{self.name} alone"
        raise SetpointError(f"{self.device}: there is no {self.name}.{asked}; there is {known}; nothing was sent")


def knobs_of(device: Device) -> NamedMapping[Knob]:
    """Return what can be read and set on an open device, by name."""
    found: list[Knob] = []
    name = device.name
    if isinstance(device, SpatialLightModulator):
        panel = device
        found.append(Knob(name, "level", "", panel.shape, True, None, lambda v: _realised(panel.write(v))))
    if isinstance(device, Camera):
        found += _camera_knobs(device)
    if isinstance(device, DAC):
        dac = device
        found.append(
            Knob(name, "voltage", "V", (dac.n_outputs,), True, lambda: dac.present_v, lambda v: _realised(dac.ramp(v)))
        )
    if isinstance(device, ADC):
        adc = device
        found.append(Knob(name, "input", "V", (adc.n_inputs,), False, lambda: _mean_input(adc)))
    if isinstance(device, CrossbarArray):
        array = device
        found.append(
            Knob(
                name,
                "conductance",
                "S",
                array.shape,
                False,
                array.read_conductance,
                lambda v: _realised(array.program(v)),
            )
        )
    return NamedMapping("key", {knob.name: knob for knob in found})


def _camera_knobs(camera: Camera) -> list[Knob]:
    def set_exposure(values: Values) -> Values:
        camera.configure(exposure_s=float(values))
        return np.asarray(camera.exposure_s)

    def region() -> Values:
        roi = camera.roi
        return np.array([roi.top, roi.left, roi.height, roi.width], np.float64)

    def set_region(values: Values) -> Values:
        camera.configure(roi=RegionOfInterest(*(int(value) for value in values)))
        return region()

    return [
        Knob(camera.name, "exposure", "s", (), False, lambda: np.asarray(camera.exposure_s), set_exposure),
        Knob(camera.name, "roi", "", (4,), False, region, set_region),
    ]


def _mean_input(adc: ADC) -> Values:
    """Return each input's mean over one record of a hundredth of a second."""
    trigger = next(kind for kind in (Trigger.INTERNAL, Trigger.SOFTWARE, Trigger.HARDWARE) if kind in adc.triggers)
    n_samples = max(1, min(1000, int(adc.max_sample_rate_hz * 1e-2)))
    adc.arm_records(1, n_samples=n_samples, rate_hz=adc.max_sample_rate_hz, trigger=trigger)
    try:
        adc.start()
        if trigger is Trigger.SOFTWARE:
            adc.trigger()
        volts = adc.read(1, timeout_s=5.0).volts
        mean: Values = volts[0].mean(axis=0, dtype=np.float64)
        return mean
    finally:
        adc.disarm()


def _realised(setpoint: Setpoint) -> Values:
    return np.asarray(setpoint.realised, np.float64)
