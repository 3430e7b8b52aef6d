"""Voltages by the properties of an instrument of pymeasure."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import DAC, DeviceOptions, Identity, Limits, SettingValue, Trigger
from pnnlab.errors import DeviceError, SetpointError
from pnnlab.quantities import FrozenModel, Seconds, Volts
from pnnlab_drivers.pymeasure._instrument import Property, PymeasureInstrument, PymeasureOptions

__all__ = ["PymeasureDac", "PymeasureDacOptions"]

VoltArray = npt.NDArray[np.floating]


class Output(FrozenModel):
    """One channel.

    Attributes:
        write: The property that sets its voltage in V.
        range_v: Lowest and highest voltage that it may be told.
        step_v: Its resolution: voltages are rounded to multiples of it.
        safe_v: Its voltage in the safe state.
    """

    write: str
    range_v: tuple[Volts, Volts]
    step_v: Volts = Field(gt=0)
    safe_v: Volts = 0.0


class PymeasureDacOptions(PymeasureOptions):
    """The options of the driver `pymeasure-dac`.

    Attributes:
        outputs: The channels.
        enable: Properties that switch the outputs on, set after the first voltages, and their values.
        disable: Properties that switch them off, set after the safe voltages, and their values.
        settle_s: Time from a change of the outputs to settled ones.
    """

    outputs: tuple[Output, ...] = Field(min_length=1)
    enable: Mapping[str, Property] = Field(default_factory=dict)
    disable: Mapping[str, Property] = Field(default_factory=dict)
    settle_s: Seconds = 0.0


class PymeasureDac(DAC):
    """Constant voltages on as many channels as the bench file declares properties for.

    Every property is read back after it was set: many classes of pymeasure clip in silence. Opening changes no output;
    what is to be prepared and enabled is set with the first voltages.
    """

    Options: ClassVar[type[DeviceOptions]] = PymeasureDacOptions
    options: PymeasureDacOptions
    _instrument: PymeasureInstrument | None = None

    @property
    def n_outputs(self) -> int:
        """See `DAC.n_outputs`."""
        return len(self.options.outputs)

    @property
    def max_update_rate_hz(self) -> float:
        """See `DAC.max_update_rate_hz`: of waveforms, which there are not."""
        return 1.0

    @property
    def max_samples(self) -> int:
        """See `DAC.max_samples`."""
        return 0

    @property
    def waveform_triggers(self) -> frozenset[Trigger]:
        """See `DAC.waveform_triggers`."""
        return frozenset()

    @property
    def settle_s(self) -> float:
        """See `DAC.settle_s`."""
        return self.options.settle_s

    @property
    def present_v(self) -> VoltArray:
        """See `DAC.present_v`: what the properties say; 0 V where the outputs are not enabled."""
        opened = self._opened
        if any(opened.get(path) != value for path, value in self.options.enable.items()):
            return np.zeros(self.n_outputs)
        return np.array([opened.number(output.write) for output in self.options.outputs])

    # Hooks

    def _claims(self) -> Sequence[str]:
        return (self.options.resource,)

    def _open(self) -> None:
        self._instrument = PymeasureInstrument(self.name, self.options)
        paths = [*self.options.prepare, *self.options.enable, *self.options.disable]
        self._instrument.check(*[output.write for output in self.options.outputs], *paths)

    def _identify(self) -> Identity:
        return self._opened.identity()

    def _close(self) -> None:
        if self._instrument is not None:
            self._instrument.close()
            self._instrument = None

    def _hard_limits(self) -> Mapping[str, Limits]:
        ranges = [output.range_v for output in self.options.outputs]
        return {"voltage": Limits(min(low for low, _ in ranges), max(high for _, high in ranges))}

    def _make_safe(self) -> None:
        opened, safe = self._opened, np.array([output.safe_v for output in self.options.outputs])
        try:
            self._set(safe)
        finally:
            opened.set_all(self.options.disable)
        left = [path for path, value in self.options.disable.items() if opened.get(path) != value]
        self._confirm(safe)
        if left:
            raise DeviceError(f"{self.name}: {', '.join(left)} did not switch off; look at the instrument")

    def _settings(self) -> dict[str, SettingValue]:
        outputs = self.options.outputs
        return {
            **self._opened.settings(), "outputs": ",".join(output.write for output in outputs),
            "step_v": [output.step_v for output in outputs], "settle_s": self.options.settle_s,
        }  # fmt: skip

    def _realise(self, volts: VoltArray) -> VoltArray:
        for k, (output, v) in enumerate(zip(self.options.outputs, volts.tolist(), strict=True)):
            low, high = output.range_v
            if not low <= v <= high:
                raise SetpointError(
                    f"{self.name}: voltage {v:g} V on channel {k} is not allowed; allowed is {low:g} to {high:g} V; "
                    "nothing was sent"
                )
        steps = np.array([output.step_v for output in self.options.outputs])
        lows = np.array([np.ceil(output.range_v[0] / output.step_v - 1e-9) for output in self.options.outputs])
        highs = np.array([np.floor(output.range_v[1] / output.step_v + 1e-9) for output in self.options.outputs])
        codes = np.clip(np.rint(volts / steps), lows, highs)
        realised: VoltArray = np.round(codes * steps, 12).astype(volts.dtype)
        return realised

    def _write(self, volts: VoltArray) -> None:
        opened = self._opened
        opened.prepare()
        self._set(volts)
        for path, value in self.options.enable.items():
            if opened.get(path) != value:
                opened.set(path, value)
        self._confirm(volts)

    def _confirm(self, volts: VoltArray) -> None:
        """Be sure that the instrument has what it was told."""
        opened = self._opened
        for output, v in zip(self.options.outputs, volts.tolist(), strict=True):
            found = opened.number(output.write)
            if abs(found - v) > 0.51 * output.step_v:
                raise DeviceError(
                    f"{self.name}: {output.write} was set to {v:g} V and says that it is {found:g} V; make `range` in "
                    "the bench file as narrow as the instrument's, or `step` as coarse"
                )

    def _set(self, volts: VoltArray) -> None:
        for output, v in zip(self.options.outputs, volts.tolist(), strict=True):
            self._opened.set(output.write, v)

    @property
    def _opened(self) -> PymeasureInstrument:
        if self._instrument is None:
            raise DeviceError(f"{self.name}: it is not open")
        return self._instrument
