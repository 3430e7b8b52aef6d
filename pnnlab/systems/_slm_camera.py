"""Light from a spatial light modulator through an optical system onto a camera."""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import Camera, Device, RegionOfInterest, Setpoint, SpatialLightModulator
from pnnlab.errors import SetpointError
from pnnlab.quantities import FrozenModel, Seconds
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._capability import Capability
from pnnlab.systems._frames import frame_taker
from pnnlab.systems._shots import FloatArray, Shots
from pnnlab.systems._system import ControlRange, Facilities, Setpoints, System, SystemConfig
from pnnlab.systems._timing import Timing

__all__ = ["SlmCamera", "SlmCameraConfig"]

Grid = tuple[int, int]
Pattern = npt.NDArray[np.number]
Ints = npt.NDArray[np.int64]


class Rectangle(FrozenModel):
    """A rectangle of pixels."""

    top: int = Field(ge=0)
    left: int = Field(ge=0)
    height: int = Field(gt=0)
    width: int = Field(gt=0)


class MacropixelEncoder(FrozenModel):
    """How inputs and controls become a phase pattern.

    Each macropixel shows `θ + input_depth · x` turns of phase; inputs are spread over the macropixels in blocks.
    """

    macropixels: Grid
    inputs: Grid | None = None
    area: Rectangle | None = None
    input_depth: float = 0.25


class BinningDecoder(FrozenModel):
    """How a frame becomes outputs: the mean of each bin of the region, as a fraction of full scale above black."""

    bins: Grid
    region: Rectangle | None = None
    black_counts: float = 0.0
    full_scale_counts: float | None = None


class SlmCameraConfig(SystemConfig):
    """A system of the kind `slm-camera` in the bench file."""

    kind: Literal["slm-camera"] = "slm-camera"
    slm: str
    camera: str
    encoder: MacropixelEncoder
    decoder: BinningDecoder
    exposure_s: Seconds


class SlmCamera(System):
    """One shot: a phase pattern is shown, the light settles, the camera exposes one frame.

    The drive is the macropixels' phase in turns, shape `(batch, n_controls)`; what was realised lies in [0, 1).
    On-board sequences with a hardware trigger from SLM to camera are used where both devices have them, else software
    triggers while the frame before is read out, else one step after the other (`mode`). How long the light settles
    and how late a pattern appears is what calibration has found, or the data sheet says (`timings`).
    """

    Config = SlmCameraConfig
    roles: ClassVar[Mapping[str, type]] = {"slm": SpatialLightModulator, "camera": Camera}
    control_range = ControlRange.PERIODIC

    config: SlmCameraConfig

    def __init__(
        self, name: str, config: SlmCameraConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:
        super().__init__(name, config, devices, facilities)
        self._slm = cast(SpatialLightModulator, devices["slm"])
        self._camera = cast(Camera, devices["camera"])
        encoder, decoder = config.encoder, config.decoder
        height, width = self._slm.shape
        area = encoder.area or Rectangle(top=0, left=0, height=height, width=width)
        if area.top + area.height > height or area.left + area.width > width:
            raise SetpointError(
                f"{name}: the encoder's area {area} is off the {height} x {width} pixels of {config.slm}"
            )
        block = self._blocks("macropixels", encoder.macropixels, (area.height, area.width), "pixels of the area")
        inputs = encoder.inputs or encoder.macropixels
        spread = self._blocks("inputs", inputs, encoder.macropixels, "macropixels")
        rows, columns = encoder.macropixels
        self._input_index = np.ravel_multi_index(
            np.ix_(np.arange(rows) // spread[0], np.arange(columns) // spread[1]), inputs
        ).ravel()
        # every pixel's macropixel; pixels outside the area show level 0
        pixel_rows, pixel_columns = np.arange(height) - area.top, np.arange(width) - area.left
        in_row, in_column = (pixel_rows // area.height == 0)[:, None], pixel_columns // area.width == 0
        self._used = None if (area.height, area.width) == (height, width) else in_row & in_column
        self._row_index = np.clip(pixel_rows // block[0], 0, rows - 1)[:, None]
        self._column_index = np.clip(pixel_columns // block[1], 0, columns - 1)
        bottom, right = area.top + area.height, area.left + area.width
        self._first_pixels = np.s_[..., area.top : bottom : block[0], area.left : right : block[1]]

        region = decoder.region
        sensor_height, sensor_width = self._camera.sensor_shape
        roi = (
            RegionOfInterest(0, 0, sensor_height, sensor_width)
            if region is None
            else RegionOfInterest(region.top, region.left, region.height, region.width)
        )
        self._bin = self._blocks("bins", decoder.bins, roi.shape, "pixels of the region")
        full = decoder.full_scale_counts
        self._black = decoder.black_counts
        self._scale = 1 / ((2**self._camera.bit_depth - 1 if full is None else full) - self._black)
        self._block = block
        self._area = np.s_[:, area.top : bottom, area.left : right]
        self._camera.configure(exposure_s=config.exposure_s, roi=roi)
        if self._camera.roi != roi:
            raise SetpointError(
                f"{name}: {config.camera} does not read {roi}, but {self._camera.roi} instead; "
                "choose a `region` of the decoder that the camera reads"
            )
        way = frame_taker(self._slm, self._camera)
        self.mode = way.mode
        self._timing = self._find_timing()
        self._taker = way(self._slm, self._camera, self._timing, clock=self.clock, trace=self.trace)

    def _find_timing(self) -> Timing:
        slm = self._slm
        return self.calibrated_timing(
            "slm", settle_s=slm.settle_s, latency_s=slm.latency_s, devices=("slm", "camera"),
            conditions={"mode": self.mode},
        )  # fmt: skip

    def _blocks(self, what: str, grid: Grid, pixels: Grid, of: str) -> Grid:
        """Return how many pixels a cell of `grid` has each way."""
        if min(grid) < 1 or pixels[0] % grid[0] or pixels[1] % grid[1]:
            raise SetpointError(
                f"{self.name}: {what} {grid[0]} x {grid[1]} do not divide the {pixels[0]} x {pixels[1]} {of}; "
                "choose divisors in the bench file"
            )
        return pixels[0] // grid[0], pixels[1] // grid[1]

    # What it is

    @property
    def n_in(self) -> int:
        """See `System.n_in`."""
        return math.prod(self.input_shape)

    @property
    def input_shape(self) -> Grid:
        """Return rows and columns of the inputs."""
        return self.config.encoder.inputs or self.config.encoder.macropixels

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`."""
        return math.prod(self.config.encoder.macropixels)

    @property
    def n_out(self) -> int:
        """See `System.n_out`."""
        return math.prod(self.config.decoder.bins)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `System.output_shape`: rows and columns of bins."""
        return self.config.decoder.bins

    @property
    def drive_shapes(self) -> tuple[tuple[int, ...], ...]:
        """See `System.drive_shapes`: one phase a macropixel."""
        return ((self.n_controls,),)

    @property
    def input_range(self) -> tuple[float, float]:
        """See `System.input_range`: a phase may be any number of turns."""
        return -math.inf, math.inf

    @property
    def shot_s(self) -> float:
        """See `System.shot_s`."""
        return self._taker.period_s

    @property
    def timings(self) -> Mapping[str, Timing]:
        """See `System.timings`."""
        return {"slm": self._timing}

    @property
    def sensor(self) -> Device:
        """See `System.sensor`."""
        return self._camera

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`: a camera of one bit tells light from no light."""
        return frozenset({Capability.SINGLE_PHOTON} if self._camera.bit_depth == 1 else ())

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`."""
        return (theta + x[..., self._input_index] * self.config.encoder.input_depth,)

    def to_setpoints(self, *drive: A) -> tuple[A, ...]:
        """See `System.to_setpoints`: grey levels of the whole panel, shape `(batch, h, w)`; unused pixels are 0."""
        (turns,) = drive
        return (self.spread(turns % 1 * self._slm.levels),)

    def decode(self, reading: A) -> A:
        """See `System.decode`."""
        (rows, columns), (high, wide) = self.config.decoder.bins, self._bin
        if isinstance(reading, np.ndarray) and np.issubdtype(reading.dtype, np.unsignedinteger):
            # whole numbers are summed along columns, exactly and without a copy; along rows by one product
            largest = high * wide * np.iinfo(reading.dtype).max
            sums = reading.reshape(-1, rows, high, columns * wide).sum(
                2, dtype=np.uint32 if largest < 2**32 else np.uint64
            )
            kind = self.dtype if largest < 2**24 else np.dtype(np.float64)
            means = sums.astype(kind).reshape(-1, wide) @ np.full(wide, self._scale / (high * wide), kind)
            binned: A = (means - kind.type(self._black * self._scale)).reshape(-1, rows * columns)
            return binned
        binned = reading.reshape(-1, rows, high, columns, wide).mean((-3, -1))
        outputs: A = ((binned - self._black) * self._scale).reshape(-1, rows * columns)
        return outputs

    @property
    def n_cells(self) -> int:
        """Return the number of places on the panel that show a level each: macropixels."""
        return self.n_controls

    def spread(self, values: A) -> A:
        """Return patterns, shape `(n, h, w)`, of a value a cell, shape `(n, n_cells)`; 0 on unused pixels."""
        rows, columns = self.config.encoder.macropixels
        pixels: A = values.reshape(-1, rows, columns)[..., self._row_index, self._column_index]
        used: A = pixels if self._used is None else pixels * constant_like(self._used, pixels)
        return used

    # Shots

    def _prepare(self, drive: tuple[FloatArray, ...]) -> tuple[Pattern, ...]:
        slm = self._slm
        (turns,) = drive
        levels = (turns - np.floor(turns)) * slm.levels
        if np.issubdtype(slm.dtype, np.integer):
            levels = np.rint(levels)
        # levels run round: what is nearer to `levels` than to `levels - 1`, or was rounded up to it, is level 0
        levels[levels >= slm.levels] = 0
        n, (rows, columns), (high, wide) = len(turns), self.config.encoder.macropixels, self._block
        patterns = levels.astype(slm.dtype).reshape(n, rows, columns).repeat(wide, axis=2).repeat(high, axis=1)
        if self._used is not None:
            inside, patterns = patterns, np.zeros((n, *slm.shape), slm.dtype)
            patterns[self._area] = inside
        return (patterns,)

    def _take(self, setpoints: Setpoints, wanted: Ints, shots: Shots, tell: Callable[[], None]) -> str:
        (patterns,) = setpoints
        return self._taker.take(patterns, wanted, _Sink(self, shots, tell))

    def realised(self, setpoint: Setpoint) -> FloatArray:
        """Return the turns that a setpoint of the panel shows on each macropixel, shape `(n, n_controls)`."""
        shown = setpoint.realised[self._first_pixels].reshape(len(setpoint.tokens), -1)
        turns: FloatArray = shown.astype(self.dtype) / self._slm.levels
        return turns


class _Sink:
    """Where a batch's frames go."""

    def __init__(self, system: SlmCamera, shots: Shots, tell: Callable[[], None]) -> None:
        self._system, self._shots, self._tell = system, shots, tell
        self.until_edge = shots.until_edge

    def shown(self, shots: Ints, setpoint: Setpoint) -> None:
        self._shots.drive[0][shots] = self._system.realised(setpoint)

    def decode(self, counts: Pattern) -> FloatArray:
        return self._system.decode(counts).astype(self._system.dtype, copy=False)

    def put(self, shots: Ints, y: FloatArray, tokens: Ints, exposed_s: npt.NDArray[np.float64] | float) -> None:
        self._shots.put(shots, y, tokens, exposed_s)
        self._shots.end_s = self._system.clock.now_s()
        self._tell()
