"""One panel in tiles and one camera in regions: light that is folded over both as often as it passes a plane."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Final, Self, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pnnlab.devices import Camera, Device, RegionOfInterest, Setpoint, SpatialLightModulator
from pnnlab.errors import SetpointError
from pnnlab.quantities import FrozenModel, Seconds
from pnnlab.systems._array import A, arccos, constant_like
from pnnlab.systems._frames import frame_taker
from pnnlab.systems._link import Link, ReadingSink
from pnnlab.systems._phase_masks import MasksConfig
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import System
from pnnlab.systems._timing import Timing

__all__ = ["FoldedPanel", "FoldedPanelConfig", "PanelTiles", "Pattern", "SensorRegions"]

Corner = tuple[int, int]
Ints = npt.NDArray[np.int64]
Pattern = npt.NDArray[np.number]

_CELLS: Final = 4
"""Quarters of a source's pixel: its upper left and lower right ones make the real part, the two others the imaginary
part, each by two opposite phases."""
_TURN: Final = 2 * np.pi
_DARK: Final = 1e-6
"""Amplitude below which light has no phase worth telling."""


class PanelTiles(FrozenModel):
    """Where tiles are on the panel, each `pixels` times `block` large; corners are `[top, left]` in panel pixels.

    Attributes:
        block: Panel pixels along each side of a pixel; even, as a source's pixel has quarters.
        sources: Of the input side, and of the output side (`backward`).
        masks: Of each mask.
        reference: Of the reference wave.
    """

    block: int = Field(ge=2, multiple_of=2)
    sources: tuple[Corner, ...]
    masks: tuple[Corner, ...]
    reference: Corner

    @property
    def places(self) -> dict[str, Corner]:
        """Return all corners by what they are of."""
        return {**_named("source", self.sources), **_named("mask", self.masks), "the reference": self.reference}


class SensorRegions(FrozenModel):
    """Where planes are on the camera's frame, each `pixels` times `block` large; corners are `[top, left]`.

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

    @property
    def places(self) -> dict[str, Corner]:
        """Return all corners by what they are of, in the order of readings."""
        named = (_named("leaving", self.leaving), _named("before", self.before), _named("behind", self.behind))
        return {name: corner for part in named for name, corner in part.items()}


class FoldedPanelConfig(MasksConfig):
    """The keys of phase masks that are tiles of a panel.

    Attributes:
        slm: The device that shows sources, masks and reference.
        camera: The device that sees all planes.
        exposure_s: How long a frame collects light.
        panel: Where what is on the panel.
        sensor: Where what is on the frame.
        source_amplitude: Field of a source's pixel all of whose panel pixels are in phase, in units of an input at 1.
            A source makes the real and the imaginary part by half of its pixel each, so inputs up to 1 need 2; what is
            above leaves room, as the phase of the last bit of light is infinitely steep.
        unit_counts: Counts above black at intensity 1.
        black_counts: Counts without light.
    """

    slm: str
    camera: str
    exposure_s: Seconds = Field(gt=0)
    panel: PanelTiles
    sensor: SensorRegions
    source_amplitude: float = Field(default=2.2, gt=2)
    unit_counts: float = Field(gt=0)
    black_counts: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _check_places(self) -> Self:
        panel, sensor = self.panel, self.sensor
        inside = self.taps * self.masks
        numbers = {
            "panel: sources": (len(panel.sources), self.n_sides), "panel: masks": (len(panel.masks), self.masks),
            "sensor: leaving": (len(sensor.leaving), self.n_sides), "sensor: before": (len(sensor.before), inside),
            "sensor: behind": (len(sensor.behind), inside),
        }  # fmt: skip
        wrong = [f"{key} has {n} corners, expected are {due}" for key, (n, due) in numbers.items() if n != due]
        for key, places in (("panel", panel), ("sensor", sensor)):
            size = self.size(places.block)
            wrong += [
                f"{key}: {pair} overlap, each is {size[0]} x {size[1]}" for pair in _overlaps(places.places, size)
            ]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}; correct the corners")
        return self

    def size(self, block: int) -> Corner:
        """Return height and width of a plane with `block` pixels along each side of a pixel."""
        return self.pixels[0] * block, self.pixels[1] * block


class FoldedPanel(Link):
    """Shows a drive of `PhaseMasks` as one pattern of the panel, and finds all planes on one frame of the camera.

    A mask's pixel is a block of panel pixels of one phase. A source's pixel is a block in quarters, whose mean after an
    iris is any field: with `p = cos a` and `q = cos b` its quarters have the phases a, π/2 + b, π/2 - b and -a, hence
    the mean (p + i q) / 2 (four pixels in quadrature after van Putten et al. 2008, Appl. Opt. 47, 2076, each pair of
    them two phases after Mendoza-Yero et al. 2014, Opt. Lett. 39, 1740). All of the reference's tile is one such block,
    of its phase and plus or minus the arc cosine of its amplitude: dark where the two are half a turn apart.

    Args:
        system: Whose devices they are.
        config: Its configuration.

    Raises:
        SetpointError: Tiles are off the panel or regions off the sensor, or a frame would saturate; nothing was sent.
    """

    def __init__(self, system: System, config: FoldedPanelConfig) -> None:
        self._name, self._config, self._dtype = system.name, config, system.dtype
        self._slm = slm = cast(SpatialLightModulator, system.devices["slm"])
        self._camera = camera = cast(Camera, system.devices["camera"])
        panel, sensor = config.panel, config.sensor
        self._check_inside("panel", config.slm, panel.places, config.size(panel.block), slm.shape)
        self._check_inside("sensor", config.camera, sensor.places, config.size(sensor.block), camera.sensor_shape)
        self._check_counts()
        self._map_panel()
        self._map_frame(self._look())
        way = frame_taker(slm, camera)
        self.mode = way.mode
        self._timing = system.calibrated_timing(
            "slm", settle_s=slm.settle_s, latency_s=slm.latency_s, devices=("slm", "camera"),
            conditions={"mode": self.mode},
        )  # fmt: skip
        self._taker = way(slm, camera, self._timing, clock=system.clock, trace=system.trace)

    def _check_inside(self, key: str, device: str, places: Mapping[str, Corner], size: Corner, whole: Corner) -> None:
        off = [
            f"{name} at {list(corner)}" for name, corner in places.items()
            if min(corner) < 0 or corner[0] + size[0] > whole[0] or corner[1] + size[1] > whole[1]
        ]  # fmt: skip
        if off:
            raise SetpointError(
                f"{self._name}: {', '.join(off)}, {size[0]} x {size[1]} pixels each, is off the {whole[0]} x "
                f"{whole[1]} pixels of {device}; correct `{key}` in the bench file; nothing was sent"
            )

    def _check_counts(self) -> None:
        config, top = self._config, 2**self._camera.bit_depth - 1
        brightest = (1 + config.reference_amplitude) ** 2
        needed = config.black_counts + brightest * config.unit_counts
        if needed > top:
            raise SetpointError(
                f"{self._name}: a field of 1 beside the reference has intensity {brightest:g}, which is {needed:g} "
                f"counts, {config.camera} ends at {top}; lower `exposure`, and `unit_counts` with it; nothing was sent"
            )

    def _look(self) -> RegionOfInterest:
        """Have the camera read what holds all regions; return what it reads."""
        config, camera = self._config, self._camera
        corners = np.array(list(config.sensor.places.values()))
        (top, left), ends = corners.min(0).tolist(), corners.max(0) + np.array(config.size(config.sensor.block))
        bottom, right = ends.tolist()
        camera.configure(exposure_s=config.exposure_s, roi=RegionOfInterest(top, left, bottom - top, right - left))
        roi = camera.roi
        if roi.top > top or roi.left > left or roi.top + roi.height < bottom or roi.left + roi.width < right:
            raise SetpointError(
                f"{self._name}: {config.camera} reads {roi}, which does not hold rows {top} to {bottom} and columns "
                f"{left} to {right}; choose other corners of `sensor` in the bench file"
            )
        return roi

    # Where values are on the panel

    def _map_panel(self) -> None:
        """Work out how the phase of each panel pixel, in turns, follows from a drive.

        It is `constant + turned · drive[turn] + sign · arccos(drive · steepness)[cosine] / 2π`.
        """
        config, shape = self._config, self._slm.shape
        n, panel = config.n_pixels, config.panel
        self._steepness = np.zeros(config.n_values)
        self._steepness[: 2 * n * config.n_sides] = 2 / config.source_amplitude
        self._steepness[-2] = 1 / config.source_amplitude
        self._turn, self._cosine = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self._turned, self._sign, self._constant = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        numbers, ones = np.arange(n).reshape(config.pixels), np.ones(config.pixels)
        is_imaginary, sign = np.array([[0, 1], [1, 0]]), np.array([[1, 1], [-1, -1]])
        every, half = np.ones((panel.block, panel.block)), np.ones((panel.block // 2, panel.block // 2))
        for k, corner in enumerate(panel.sources):
            tile = self._tile(corner)
            column = np.kron(numbers, np.ones((2, 2))) + n * np.kron(ones, is_imaginary)
            self._cosine[tile] = 2 * n * k + np.kron(column, half)
            self._sign[tile] = np.kron(np.kron(ones, sign), half)
            self._constant[tile] = np.kron(np.kron(ones, is_imaginary), half) / 4
        for k, corner in enumerate(panel.masks):
            tile = self._tile(corner)
            self._turn[tile] = n * (2 * config.n_sides + k) + np.kron(numbers, every)
            self._turned[tile] = 1
        tile = self._tile(panel.reference)
        self._turn[tile], self._turned[tile], self._cosine[tile] = config.n_values - 1, 1, config.n_values - 2
        self._sign[tile] = np.kron(np.kron(ones, sign), half)
        self._map_realised()

    def _map_realised(self) -> None:
        """Work out which panel pixels tell what became of a drive: a pixel of each quarter, and one of each mask's."""
        config, panel = self._config, self._config.panel
        flat = np.arange(np.prod(self._slm.shape)).reshape(self._slm.shape)
        half = panel.block // 2

        def quarters(corner: Corner) -> Ints:
            firsts = flat[self._tile(corner)][::half, ::half].reshape(config.pixels[0], 2, config.pixels[1], 2)
            return firsts.transpose(0, 2, 1, 3).reshape(-1, _CELLS)

        self._source_pixels = np.stack([quarters(corner) for corner in panel.sources])
        self._reference_pixels = quarters(panel.reference)[0]
        masks = [flat[self._tile(corner)][:: panel.block, :: panel.block].ravel() for corner in panel.masks]
        self._mask_pixels = np.concatenate(masks)

    def _tile(self, corner: Corner) -> tuple[slice, slice]:
        height, width = self._config.size(self._config.panel.block)
        return slice(corner[0], corner[0] + height), slice(corner[1], corner[1] + width)

    def _map_frame(self, roi: RegionOfInterest) -> None:
        """Work out which pixels of a frame make each reading, shape `(n_readings, block²)`."""
        config, sensor = self._config, self._config.sensor
        (rows, columns), block = config.pixels, sensor.block
        flat = np.arange(np.prod(roi.shape)).reshape(roi.shape)
        planes = [
            flat[top - roi.top :, left - roi.left :][: rows * block, : columns * block]
            for top, left in sensor.places.values()
        ]
        blocks = np.stack(planes).reshape(len(planes), rows, block, columns, block).swapaxes(2, 3)
        self._frame_pixels = blocks.reshape(-1, block**2)

    # What it is

    @property
    def n_values(self) -> int:
        """See `Link.n_values`."""
        return self._config.n_values

    @property
    def n_readings(self) -> int:
        """See `Link.n_readings`."""
        return len(self._frame_pixels)

    @property
    def sensor(self) -> Device:
        """See `Link.sensor`."""
        return self._camera

    @property
    def shot_s(self) -> float:
        """See `Link.shot_s`."""
        return self._taker.period_s

    @property
    def timings(self) -> Mapping[str, Timing]:
        """See `Link.timings`."""
        return {"slm": self._timing}

    # Walking down and up

    def to_setpoints(self, drive: A) -> A:
        """See `Link.to_setpoints`: grey levels of the whole panel, shape `(batch, h, w)`; unused pixels are 0."""
        angle = arccos(drive * constant_like(self._steepness, drive)) / _TURN
        turns = (
            drive[..., self._turn] * constant_like(self._turned, drive)
            + angle[..., self._cosine] * constant_like(self._sign, drive)
            + constant_like(self._constant, drive)
        )
        levels: A = turns % 1 * self._slm.levels
        return levels

    def readings(self, raw: A) -> A:
        """See `Link.readings`, of frames, shape `(batch, h, w)` of the region of interest."""
        frames = raw.reshape(-1, raw.shape[-2] * raw.shape[-1])
        bright: A = (frames[:, self._frame_pixels].mean(-1) - self._config.black_counts) / self._config.unit_counts
        return bright

    @property
    def n_cells(self) -> int:
        """Return the number of quarters of pixels on the panel."""
        return len(self._config.panel.places) * self._config.n_pixels * _CELLS

    def spread(self, values: Pattern) -> Pattern:
        """Return patterns, shape `(n, h, w)`, of a value a cell, shape `(n, n_cells)`; 0 beside the tiles."""
        patterns = np.zeros((len(values), *self._slm.shape), values.dtype)
        tiles = np.split(values, len(self._config.panel.places), 1)
        (rows, columns), half = self._config.pixels, self._config.panel.block // 2
        for corner, cells in zip(self._config.panel.places.values(), tiles, strict=True):
            grid = cells.reshape(-1, 2 * rows, 2 * columns)
            patterns[:, *self._tile(corner)] = grid.repeat(half, 1).repeat(half, 2)
        return patterns

    def prepare(self, drive: FloatArray) -> Pattern:
        """See `Link.prepare`.

        Raises:
            SetpointError: A source or the reference is to be brighter than it can be; nothing was sent.
        """
        brightest = float(np.abs(drive * self._steepness).max())
        if brightest > 1:
            raise SetpointError(
                f"{self._name}: light is to be {brightest:g} times as strong as the panel can make it; nothing was sent"
            )
        slm = self._slm
        levels = self.to_setpoints(drive)
        if np.issubdtype(slm.dtype, np.integer):
            levels = np.rint(levels)
        levels[levels >= slm.levels] = 0  # levels run round
        return levels.astype(slm.dtype)

    # Shots

    def take(self, setpoints: Pattern, wanted: Ints, sink: ReadingSink) -> str:
        """See `Link.take`."""
        return self._taker.take(setpoints, wanted, _Frames(self, sink))

    def realised(self, setpoint: Setpoint) -> FloatArray:
        """Return the drive that a setpoint of the panel is, shape `(n, n_values)`."""
        config, n = self._config, len(setpoint.tokens)
        turns = setpoint.realised.reshape(n, -1) / self._slm.levels
        sources, reference = (
            config.source_amplitude * np.exp(1j * _TURN * turns[:, pixels]).mean(-1)
            for pixels in (self._source_pixels, self._reference_pixels)
        )
        parts = np.stack([sources.real, sources.imag], 2).reshape(n, -1)
        size = np.abs(reference)
        steps = np.stack([size, np.where(size > _DARK, np.angle(reference) / _TURN % 1, 0)], -1)
        drive: FloatArray = np.concatenate([parts, turns[:, self._mask_pixels], steps], 1)
        return drive

    def decoded(self, counts: Pattern) -> FloatArray:
        """Return the readings of frames in the system's precision."""
        return np.asarray(self.readings(counts), self._dtype)


class _Frames:
    """Where frames go: on to where readings go."""

    def __init__(self, link: FoldedPanel, sink: ReadingSink) -> None:
        self._link, self._sink = link, sink
        self.put, self.until_edge = sink.put, sink.until_edge

    def shown(self, shots: Ints, setpoint: Setpoint) -> None:
        self._sink.shown(shots, self._link.realised(setpoint))

    def decode(self, counts: Pattern) -> FloatArray:
        return self._sink.decode(self._link.decoded(counts))


def _named(what: str, corners: Sequence[Corner]) -> dict[str, Corner]:
    return {f"{what} {k + 1}": corner for k, corner in enumerate(corners)}


def _overlaps(places: Mapping[str, Corner], size: Corner) -> list[str]:
    return [
        f"{one} and {other}"
        for (one, first), (other, second) in itertools.combinations(places.items(), 2)
        if abs(first[0] - second[0]) < size[0] and abs(first[1] - second[1]) < size[1]
    ]
