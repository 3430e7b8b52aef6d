"""A spatial light modulator by Micro-Manager."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import DeviceOptions, Identity, SettingValue, SpatialLightModulator
from pnnlab.errors import DeviceError, SetpointError
from pnnlab.quantities import Metres, Seconds
from pnnlab_drivers.micromanager._core import CoreDevice, MicroManagerOptions

__all__ = ["MicroManagerSlm"]


class MicroManagerSlmOptions(MicroManagerOptions):
    """The options of the driver `micromanager-slm`, besides those of all devices of Micro-Manager.

    Micro-Manager does not tell what decides when light has settled, so the data sheet's figures stand here.

    Attributes:
        pitch_m: From pixel to pixel.
        settle_s: From a new pattern to settled light.
        frame_period_s: Shortest time between two patterns.
        latency_s: Least and most time from the call to light that changes.
        serial_property: The property that tells the serial number; adapters differ.
    """

    pitch_m: Metres = Field(gt=0)
    settle_s: Seconds = Field(ge=0)
    frame_period_s: Seconds = Field(default=1 / 60, gt=0)
    latency_s: tuple[Seconds, Seconds] = (0.0, 0.0)
    serial_property: str = "SerialNumber"


class MicroManagerSlm(SpatialLightModulator):
    """A modulator of 8-bit grey levels that Micro-Manager has an adapter for; patterns are shown one by one."""

    Options: ClassVar[type[DeviceOptions]] = MicroManagerSlmOptions
    options: MicroManagerSlmOptions

    _link: CoreDevice | None = None
    _shape = (0, 0)

    # What it tells

    @property
    def shape(self) -> tuple[int, int]:
        """See `SpatialLightModulator.shape`."""
        return self._shape

    @property
    def levels(self) -> int:
        """See `SpatialLightModulator.levels`."""
        return 256

    @property
    def pitch_m(self) -> float:
        """See `SpatialLightModulator.pitch_m`."""
        return self.options.pitch_m

    @property
    def frame_period_s(self) -> float:
        """See `SpatialLightModulator.frame_period_s`."""
        return self.options.frame_period_s

    @property
    def settle_s(self) -> float:
        """See `SpatialLightModulator.settle_s`."""
        return self.options.settle_s

    @property
    def latency_s(self) -> tuple[float, float]:
        """See `SpatialLightModulator.latency_s`."""
        return self.options.latency_s

    # Hooks

    def _claims(self) -> Sequence[str]:
        options = self.options
        where = options.config.resolve() if options.config else f"{options.library} {options.before}"
        return (f"Micro-Manager {where} {options.label or options.device}",)

    @property
    def _opened(self) -> CoreDevice:
        if self._link is None:
            raise DeviceError(f"{self.name}: it is not open; open it first")
        return self._link

    def _open(self) -> None:
        self._link = link = CoreDevice(self.name, self.options)
        core, label = link.core, link.label
        colours, size = link.ask(core.getSLMNumberOfComponents, label), link.ask(core.getSLMBytesPerPixel, label)
        if (colours, size) != (1, 1):
            raise SetpointError(
                f"{self.name}: the modulator takes {colours} colours of {size} bytes in all, expected are grey levels "
                "of 8 bits; choose its mode by `properties` in the bench file; nothing was shown"
            )
        self._shape = int(link.ask(core.getSLMHeight, label)), int(link.ask(core.getSLMWidth, label))

    def _identify(self) -> Identity:
        link, options = self._opened, self.options
        library = str(link.ask(link.core.getDeviceLibrary, link.label))
        model = str(link.ask(link.core.getDeviceName, link.label))
        tells = options.serial_property
        serial = link.read_property(tells) if tells and link.has(tells) else ""
        return Identity(library, model or options.label, serial)

    def _close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _make_safe(self) -> None:
        """Show level 0 everywhere."""
        self._write(np.zeros(self._shape, np.uint8))

    def _settings(self) -> dict[str, SettingValue]:
        link = self._opened
        return {
            "shape": list(self.shape), "levels": self.levels, "pitch_m": self.pitch_m, "settle_s": self.settle_s,
            "frame_period_s": self.frame_period_s, "latency_s": list(self.latency_s),
            "properties": link.told({**self.options.before, **self.options.properties}),
        }  # fmt: skip

    def _write(self, levels: npt.NDArray[np.number]) -> None:
        link = self._opened
        link.ask(link.core.setSLMImage, link.label, np.ascontiguousarray(levels, np.uint8))
        link.ask(link.core.displaySLMImage, link.label)
