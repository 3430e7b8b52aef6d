"""Light from a spatial light modulator through an optical system onto a camera."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from pnnlab.devices import Camera, Clock, Device, RegionOfInterest, SpatialLightModulator, Trigger
from pnnlab.errors import SetpointError
from pnnlab.quantities import FrozenModel, Seconds
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._system import ControlRange, FloatArray, System, SystemConfig

__all__ = ["SlmCamera", "SlmCameraConfig"]

Grid = tuple[int, int]
Pattern = npt.NDArray[np.number]
_PATIENCE_S: Final = 5.0
"""How much longer than the devices' own times a reading may take, for transfer and a busy computer."""


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
    settle_s: Seconds | None = None


class SlmCamera(System):
    """One shot: a phase pattern is shown, the light settles, the camera exposes one frame.

    The drive is the macropixels' phase in turns, shape `(batch, n_controls)`; what was realised lies in [0, 1).
    On-board sequences with a hardware trigger from SLM to camera are used where both devices have them, else each
    shot is written, waited for and triggered.
    """

    Config = SlmCameraConfig
    roles: ClassVar[Mapping[str, type]] = {"slm": SpatialLightModulator, "camera": Camera}
    control_range = ControlRange.PERIODIC

    config: SlmCameraConfig

    def __init__(self, name: str, config: SlmCameraConfig, devices: Mapping[str, Device], *, clock: Clock) -> None:
        super().__init__(name, config, devices, clock=clock)
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
        self._settle_s = self._slm.settle_s if config.settle_s is None else config.settle_s
        self._camera.configure(exposure_s=config.exposure_s, roi=roi)

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
    def sensor(self) -> Device:
        """See `System.sensor`."""
        return self._camera

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`."""
        return (theta + x[..., self._input_index] * self.config.encoder.input_depth,)

    def to_setpoints(self, *drive: A) -> tuple[A, ...]:
        """See `System.to_setpoints`: grey levels of the whole panel, shape `(batch, h, w)`; unused pixels are 0."""
        (turns,) = drive
        pixels = self._panel(turns % 1 * self._slm.levels)
        return (pixels if self._used is None else pixels * constant_like(self._used, pixels),)

    def decode(self, reading: A) -> A:
        """See `System.decode`."""
        (rows, columns), (high, wide) = self.config.decoder.bins, self._bin
        binned = reading.reshape(-1, rows, high, columns, wide).mean((-3, -1))
        outputs: A = ((binned - self._black) * self._scale).reshape(-1, rows * columns)
        return outputs

    def _panel(self, macropixels: A) -> A:
        """Spread values of macropixels, shape `(batch, n_controls)`, over the panel, shape `(batch, h, w)`."""
        rows, columns = self.config.encoder.macropixels
        pixels: A = macropixels.reshape(-1, rows, columns)[..., self._row_index, self._column_index]
        return pixels

    # Shots

    def _shoot(self, drive: tuple[FloatArray, ...]) -> tuple[FloatArray, tuple[FloatArray, ...], tuple[int, ...]]:
        slm = self._slm
        (turns,) = drive
        levels = turns % 1 * slm.levels
        if np.issubdtype(slm.dtype, np.integer):
            # levels run round: what is nearer to `levels` than to `levels - 1` is level 0
            levels = (np.rint(levels) % slm.levels).astype(slm.dtype)
        patterns = self._panel(levels)
        if self._used is not None:
            patterns *= self._used
        shoot = self._shoot_sequence if self._sequences else self._shoot_one_by_one
        size = max(1, slm.max_sequence) if self._sequences else len(patterns)
        parts = [shoot(patterns[k : k + size]) for k in range(0, len(patterns), size)]
        counts = parts[0][0] if len(parts) == 1 else np.concatenate([part[0] for part in parts])
        realised = parts[0][1] if len(parts) == 1 else np.concatenate([part[1] for part in parts])
        shown = realised[self._first_pixels].reshape(len(turns), -1).astype(self.dtype) / slm.levels
        y = self.decode(counts).astype(self.dtype, copy=False)
        return y, (shown,), tuple(token for part in parts for token in part[2])

    @property
    def _sequences(self) -> bool:
        slm, camera = self._slm, self._camera
        return slm.max_sequence > 0 and Trigger.INTERNAL in slm.triggers and Trigger.HARDWARE in camera.triggers

    def _shoot_sequence(self, patterns: Pattern) -> tuple[Pattern, Pattern, Sequence[int]]:
        """Take one frame a pattern: the SLM plays from its memory and its pulses trigger the camera."""
        slm, camera, n = self._slm, self._camera, len(patterns)
        period_s = max(slm.frame_period_s, self._settle_s + camera.exposure_s + camera.readout_s)
        timeout_s = n * period_s + _PATIENCE_S
        camera.arm_frames(n, trigger=Trigger.HARDWARE, delay_s=self._settle_s)
        try:
            setpoint = slm.arm_sequence(patterns, trigger=Trigger.INTERNAL, period_s=period_s)
            try:
                camera.start()
                slm.start()
                frames = camera.read(n, timeout_s=timeout_s)
                slm.wait(timeout_s)
            finally:
                slm.disarm()
        finally:
            camera.disarm()
        return frames.counts, setpoint.realised, setpoint.tokens

    def _shoot_one_by_one(self, patterns: Pattern) -> tuple[Pattern, Pattern, Sequence[int]]:
        """Take one frame a pattern: show, let settle, trigger, read."""
        slm, camera, n = self._slm, self._camera, len(patterns)
        trigger = Trigger.SOFTWARE if Trigger.SOFTWARE in camera.triggers else Trigger.INTERNAL
        counts = np.empty((n, *camera.roi.shape), camera.dtype)
        realised = np.empty((n, *slm.shape), slm.dtype)
        tokens: list[int] = []
        for k, pattern in enumerate(patterns):
            setpoint = slm.write(pattern)
            realised[k] = setpoint.realised
            tokens += setpoint.tokens
            self.clock.sleep_until(self.clock.now_s() + self._settle_s)
            camera.arm_frames(1, trigger=trigger, out=counts[k : k + 1])
            try:
                camera.start()
                if trigger is Trigger.SOFTWARE:
                    camera.trigger()
                camera.read(1, timeout_s=camera.exposure_s + camera.readout_s + _PATIENCE_S)
            finally:
                camera.disarm()
        return counts, realised, tokens
