"""One panel in tiles, which are sources, phase masks and a reference wave, and one sensor that sees all planes."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.errors import DeviceError
from pnnlab.physics import DiffractiveStack, intensity
from pnnlab.quantities import FrozenModel
from pnnlab_drivers.sim._mask_spaces import MaskSpacesOptions, make_stack, plane_fields
from pnnlab_drivers.sim._panel_table import PanelTable
from pnnlab_drivers.sim._plant import PlantOptions

__all__ = ["FreeSpaceTable", "FreeSpaceTableOptions"]

Corner = tuple[int, int]


class PanelTiles(FrozenModel):
    """Where tiles are on the panel, each `pixels` times `block` large; corners are `[top, left]` in panel pixels.

    Attributes:
        block: Panel pixels along each side of a pixel.
        sources: Of the input side, and of the output side (`backward`).
        masks: Of each mask.
        reference: Of the reference wave.
    """

    block: int = Field(gt=0)
    sources: tuple[Corner, ...]
    masks: tuple[Corner, ...]
    reference: Corner


class SensorRegions(FrozenModel):
    """Where planes are imaged to, each `pixels` times `block` large; corners are `[top, left]` in sensor pixels.

    Attributes:
        block: Sensor pixels along each side of a pixel.
        leaving: The output, and where light from the output side leaves (`backward`).
        before: The input side of each mask (`taps`).
        behind: Their output sides (`taps`).
    """

    block: int = Field(gt=0)
    leaving: tuple[Corner, ...]
    before: tuple[Corner, ...] = ()
    behind: tuple[Corner, ...] = ()


class FreeSpaceTableOptions(MaskSpacesOptions):
    """The options of the plant `sim-free-space`.

    Attributes:
        panel: Where sources, masks and reference are on the panel.
        sensor: Where planes are on the sensor.
        source_amplitude: Field of a source's pixel all of whose panel pixels are in phase.
        photons_per_pixel_s: Light of intensity 1 on a sensor pixel, in photons per s.
    """

    panel: PanelTiles
    sensor: SensorRegions
    source_amplitude: float = Field(default=2.2, gt=0)
    photons_per_pixel_s: float = Field(default=1e6, gt=0)


class FreeSpaceTable(PanelTable):
    """The light path of a `sim-slm` folded over its panel, and of a `sim-camera` that looks at every plane at once.

    Relay optics with an iris image each tile to where it acts and pass what varies slowly on it, so light meets the
    mean of `exp(i phase)` over a pixel's panel pixels: a mask's pixel is one phase, a source's pixel is any field that
    such a mean can be (van Putten et al. 2008, Appl. Opt. 47, 2076). All of the reference's tile makes one plane wave.
    A sensor pixel sees `|u + r|²`: the field of both sources at its plane, and the reference.
    """

    Options: ClassVar[type[PlantOptions]] = FreeSpaceTableOptions
    options: FreeSpaceTableOptions

    def __init__(self, name: str, options: FreeSpaceTableOptions, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        self._stack: DiffractiveStack | None = None
        self._maps: dict[tuple[int, int], Tensor] = {}
        panel, sensor = options.panel, options.sensor
        self._check("panel", "sources", panel.sources, options.n_sides)
        self._check("panel", "masks", panel.masks, options.masks)
        self._check("sensor", "leaving", sensor.leaving, options.n_sides)
        for key, corners in (("before", sensor.before), ("behind", sensor.behind)):
            self._check("sensor", key, corners, options.taps * options.masks)

    def _check(self, part: str, key: str, corners: Sequence[Corner], n: int) -> None:
        if len(corners) != n:
            raise DeviceError(
                f"{self.name}: `{part}` has {len(corners)} corners of `{key}`, the plant has {n}; correct the options "
                "of the plant in the bench file"
            )

    @property
    def stack(self) -> DiffractiveStack:
        """Return the truth, which no device tells; once there is a panel."""
        if self._stack is None:
            raise DeviceError(f"{self.name}: no panel is in the beam; open the sim-slm of this plant first")
        return self._stack

    def _fit(self, shape: tuple[int, int], pitch_m: float) -> None:
        """See `PanelTable._fit`."""
        panel = self.options.panel
        rows, columns = (side * panel.block for side in self.options.pixels)
        corners = (*panel.sources, *panel.masks, panel.reference)
        off = [corner for corner in corners if corner[0] + rows > shape[0] or corner[1] + columns > shape[1]]
        if off:
            raise DeviceError(
                f"{self.name}: tiles of {rows} x {columns} pixels at {', '.join(map(str, off))} are off the panel of "
                f"{shape[0]} x {shape[1]}; correct `panel` in the plant's options, or the panel's `shape`"
            )
        self._stack = make_stack(self, self.options, pitch_m=panel.block * pitch_m)

    def _light(self, field: Tensor) -> Tensor:
        """See `PanelTable._light`: at all planes, shape `(n, n_planes, n_pixels)`."""
        options, panel = self.options, self.options.panel
        amplitude = options.source_amplitude
        reference = self._tiles(field, [panel.reference]).mean((1, 2))
        seen = plane_fields(self.stack, options, amplitude * self._tiles(field, panel.sources), self._masks(field))
        return intensity(seen + options.reference_amplitude * amplitude * reference[:, None, None])

    def _masks(self, field: Tensor) -> Tensor:
        return self.options.kept * self._tiles(field, self.options.panel.masks)

    def _tiles(self, field: Tensor, corners: Sequence[Corner]) -> Tensor:
        """Return the pixels of tiles, shape `(n, n_tiles, n_pixels)`, of a field on the panel, shape `(n, h, w)`."""
        (rows, columns), block = self.options.pixels, self.options.panel.block
        cut = [field[:, top : top + rows * block, left : left + columns * block] for top, left in corners]
        blocks = torch.stack(cut, 1).unflatten(-1, (columns, block)).unflatten(-3, (rows, block))
        means: Tensor = blocks.mean((-3, -1)).flatten(2)
        return means

    def _photons(self, light: Tensor, duration_s: float, shape: tuple[int, int]) -> Tensor:
        """See `PanelTable._photons`: there is no light between the planes' regions."""
        flat = light.flatten(1)
        dark = flat.new_zeros(len(flat), 1)
        seen = torch.cat([flat, dark], 1)[:, self._map(shape)]
        photons: Tensor = seen.unflatten(1, shape) * (self.options.photons_per_pixel_s * duration_s)
        return photons

    def _map(self, shape: tuple[int, int]) -> Tensor:
        """Return which pixel of the planes each sensor pixel sees, flat; one beyond the last where it sees none."""
        if shape not in self._maps:
            options, sensor = self.options, self.options.sensor
            (rows, columns), block = options.pixels, sensor.block
            found = torch.full(shape, options.n_planes * options.n_pixels)
            numbers = torch.arange(options.n_pixels).reshape(rows, columns)
            spread = numbers.repeat_interleave(block, 0).repeat_interleave(block, 1)
            for k, (top, left) in enumerate((*sensor.leaving, *sensor.before, *sensor.behind)):
                region = found[top : top + rows * block, left : left + columns * block]
                if region.shape != spread.shape:
                    raise DeviceError(
                        f"{self.name}: a plane of {rows * block} x {columns * block} pixels at ({top}, {left}) is off "
                        f"the sensor of {shape[0]} x {shape[1]}; correct `sensor` in the plant's options, or the "
                        "camera's"
                    )
                region[:] = spread + k * options.n_pixels
            self._maps[shape] = found.flatten().to(self.torch_device)
        return self._maps[shape]
