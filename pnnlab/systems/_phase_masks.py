"""Phase masks one behind the other, whose fields are read by interference with a stepped reference wave."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self, TypeVar, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pnnlab.devices import Device
from pnnlab.errors import CapabilityError, SetpointError
from pnnlab.systems._array import A, constant_like
from pnnlab.systems._capability import Capability
from pnnlab.systems._linked_system import LinkedSystem
from pnnlab.systems._probes import FieldReading, Side
from pnnlab.systems._shots import FloatArray
from pnnlab.systems._system import ControlRange, Facilities, SystemConfig

__all__ = ["MaskReading", "MasksConfig", "PhaseMasks"]

ComplexArray = npt.NDArray[np.complexfloating]

AnyArray = TypeVar("AnyArray", bound=npt.NDArray[np.inexact])

_STEPS: Final = 4
"""Phases of the reference wave, a quarter turn apart (Bruning et al. 1974, Appl. Opt. 13, 2693)."""


class MasksConfig(SystemConfig):
    """The keys that both kinds of phase masks share.

    Attributes:
        pixels: Rows and columns of each plane.
        masks: Number of masks.
        references: So many rows of the source, the last ones, get no input but constant light as of an input at 1, so
            that intensities depend on the inputs' signs and sizes, and not on their proportions alone.
        backward: Whether the output side has a source too, and the input side is looked at.
        taps: Whether both sides of every mask are looked at.
        mirror_symmetric: Whether the set-up is built as its own mirror image: equal spaces at equal distance from the
            ends, planes aligned.
        reference_amplitude: Amplitude of the reference wave at every plane, in units of a source at 1.
        subtract_dark: Whether fields that are sent have those taken off that are there while all sources are dark: for
            sources that are not quite. They are measured once for all fields of a call, by four shots.
    """

    pixels: tuple[int, int]
    masks: int = Field(gt=0)
    references: int = Field(default=0, ge=0)
    backward: bool = True
    taps: bool = True
    mirror_symmetric: bool = True
    reference_amplitude: float = Field(default=1.0, gt=0)
    subtract_dark: bool = False

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        if self.references >= self.pixels[0]:
            raise ValueError(f"references take {self.references} rows of {self.pixels[0]}, none is left for inputs")
        return self

    @property
    def n_pixels(self) -> int:
        """Return the number of pixels of a plane."""
        return math.prod(self.pixels)

    @property
    def n_sides(self) -> int:
        """Return the number of sides that have a source, and whose light is looked at where it leaves."""
        return 1 + self.backward

    @property
    def n_values(self) -> int:
        """Return the length of a drive; see `PhaseMasks`."""
        return self.n_pixels * (2 * self.n_sides + self.masks) + 2

    @property
    def n_planes(self) -> int:
        """Return the number of planes that are looked at; see `PhaseMasks`."""
        return self.n_sides + 2 * self.taps * self.masks


@dataclass(frozen=True, slots=True)
class MaskReading(FieldReading):
    """Fields on both sides of the masks.

    Attributes:
        out: See `FieldReading`.
        inside: On the input sides of the masks, mask by mask, shape `(batch, n_controls)`.
        behind: On their output sides, same shape.
    """

    behind: ComplexArray | None = None


class PhaseMasks(LinkedSystem):
    """One shot: an image of real amplitudes passes all masks, and intensities are read at the output.

    Controls are the phases of all masks in turns, mask by mask. Fields take four shots more, in which the reference
    wave is stepped by quarter turns: `u = [I(0) - I(1/2) + i I(1/4) - i I(3/4)] / 4 r`. All planes are read at once.

    The drive is, one run after the other: real and imaginary parts of the source's field, each up to 1; the same of the
    output side's source (`backward`); phases in turns, mask by mask; amplitude (1 where it shines, else 0) and phase in
    turns of the reference wave. A reading is the intensities, 1 for a field of 1, of all planes that are looked at: the
    output; where light from the output side leaves (`backward`); the input sides of the masks, and then their output
    sides, mask by mask (`taps`). How both travel is a matter of the kinds that derive from it.
    """

    control_range = ControlRange.PERIODIC
    config: MasksConfig

    def __init__(
        self, name: str, config: MasksConfig, devices: Mapping[str, Device], facilities: Facilities
    ) -> None:  # fmt: skip
        super().__init__(name, config, devices, facilities)
        n, values = self.n_ports, np.arange(config.n_values)
        self._sources = {Side.IN: 0, Side.OUT: 2 * n}
        masks = slice(2 * n * config.n_sides, config.n_values - 2)
        # which input and which mask pixel each value is, and whether it is one
        self._is_input = (values < self.n_in).astype(np.float64)
        self._input_columns = np.where(values < self.n_in, values, 0)
        self._is_constant = ((values >= self.n_in) & (values < n)).astype(np.float64)
        is_mask = (values >= masks.start) & (values < masks.stop)
        self._is_mask = is_mask.astype(np.float64)
        self._mask_columns = np.where(is_mask, values - masks.start, 0)

    # What it is

    @property
    def n_ports(self) -> int:
        """See `CarriesFields.n_ports`: pixels of a plane."""
        return self.config.n_pixels

    @property
    def n_in(self) -> int:
        """See `System.n_in`."""
        return math.prod(self.input_shape)

    @property
    def n_out(self) -> int:
        """See `System.n_out`."""
        return self.n_ports

    @property
    def n_controls(self) -> int:
        """See `System.n_controls`."""
        return self.n_ports * self.config.masks

    @property
    def input_range(self) -> tuple[float, float]:
        """See `System.input_range`."""
        return -1.0, 1.0

    @property
    def input_shape(self) -> tuple[int, int]:
        """Return rows and columns of the inputs."""
        return self.config.pixels[0] - self.config.references, self.config.pixels[1]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """See `System.output_shape`."""
        return self.config.pixels

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`: glass and air are reciprocal; the rest is a matter of sources and cameras."""
        config = self.config
        has = {
            Capability.FIELD_OUTPUT: True,
            Capability.PHASE_CONTROLS: True,
            Capability.BIDIRECTIONAL: config.backward,
            Capability.RECIPROCAL: config.backward,
            Capability.LOCAL_STATE: config.taps,
            Capability.MIRROR_SYMMETRIC: config.mirror_symmetric,
        }
        return frozenset(capability for capability, there in has.items() if there)

    # Walking down and up

    def encode(self, x: A, theta: A) -> tuple[A, ...]:
        """See `System.encode`."""
        lit = x[..., self._input_columns] * constant_like(self._is_input, x)
        if self.config.references:
            lit = lit + constant_like(self._is_constant, x)
        shifted = (theta % 1)[..., self._mask_columns]
        drive: A = lit + shifted * constant_like(self._is_mask, x)
        return (drive,)

    def outputs(self, reading: A) -> A:
        """See `LinkedSystem.outputs`: intensities at the output."""
        seen: A = reading[..., : self.n_ports]
        return seen

    # Fields

    def send(self, field: ComplexArray, theta: FloatArray, *, side: Side = Side.IN) -> MaskReading:
        """See `CarriesFields.send`; four shots a row, and four for the dark where that is subtracted.

        Raises:
            CapabilityError: Nothing can be sent in at the outputs.
            SetpointError: A quadrature is above 1, or the shape is wrong; nothing was sent.
        """
        if side is Side.OUT and not self.config.backward:
            raise CapabilityError(
                f"{self.name}: light is to be sent in at its output side, where there is no source; give it one "
                "(`backward: true`)"
            )
        field = np.asarray(field)
        largest = max(float(np.abs(field.real).max()), float(np.abs(field.imag).max())) if field.size else 0.0
        if field.ndim != 2 or field.shape[1] != self.n_ports or not largest <= 1 + 1e-6:
            raise SetpointError(
                f"{self.name}: fields of shape {field.shape} with quadratures up to {largest:g} are to be sent in, "
                f"expected is (batch, {self.n_ports}) and up to 1, the largest that a source makes; nothing was sent"
            )
        n, subtracts = len(field), self.config.subtract_dark
        dark = np.zeros((n + subtracts, self.n_in), self.dtype)
        drive = self.encode(dark, np.asarray(theta, self.dtype))[0]
        drive[:, : self.n_ports] = 0  # constant light, too
        first = self._sources[side]
        drive[:n, first : first + 2 * self.n_ports] = np.concatenate([field.real, field.imag], -1)
        fields = self._fields(self.probe(self._stepped(drive)))
        return self._told(fields[:n] - fields[n:] if subtracts else fields, side)

    def look(self, x: FloatArray, theta: FloatArray) -> tuple[FloatArray, MaskReading]:
        """Measure a forward pass and all its fields; five shots a sample.

        Args:
            x: As in `System.measure`.
            theta: As in `System.measure`.

        Returns:
            Outputs, shape `(batch, n_out)`, read with the reference dark as in `measure`; and the fields.
        """
        x, theta = np.asarray(x, self.dtype), np.asarray(theta, self.dtype)
        self._check(x, theta)
        drive = self.encode(x, theta)[0]
        reading = self.probe(np.concatenate([drive, self._stepped(drive)]))
        return self.outputs(reading[: len(x)]), self._told(self._fields(reading[len(x) :]), Side.IN)

    def mirrored(self, values: AnyArray) -> AnyArray:
        """Return controls, or what was read next to each, of the mirror image: masks in the opposite order."""
        turned = values.reshape(*values.shape[:-1], self.config.masks, -1)[..., ::-1, :]
        return cast(AnyArray, turned.reshape(values.shape))

    def entering(self, x: FloatArray) -> ComplexArray:
        """Return the fields that inputs are, shape `(batch, n_ports)`, in the unit of `send`."""
        constant = np.ones((len(x), self.n_ports - self.n_in), x.dtype)
        entering: ComplexArray = np.concatenate([x, constant], -1) + 0j
        return entering

    def error_field(self, out: ComplexArray, grad_y: FloatArray) -> ComplexArray:
        """Return δ of `dL = 2 Re(δ · du)` at the camera, shape `(batch, n_ports)`.

        Args:
            out: The fields u there, shape `(batch, n_ports)`.
            grad_y: Derivative of the loss L by the outputs `|u|²`, shape `(batch, n_out)`.
        """
        error: ComplexArray = grad_y * out.conj()
        return error

    def input_gradient(self, back: ComplexArray) -> FloatArray:
        """Return the derivative of the loss by the inputs, shape `(batch, n_in)`, of δ as it comes back to them."""
        slopes: FloatArray = 2 * back[:, : self.n_in].real
        return slopes

    def _stepped(self, drive: FloatArray) -> FloatArray:
        """Return drives with the reference wave at each of its phases, shape `(4 batch, n_values)`."""
        steps = np.repeat(drive[None], _STEPS, 0)
        steps[:, :, -2] = 1
        steps[:, :, -1] = (np.arange(_STEPS) / _STEPS)[:, None]
        flat: FloatArray = steps.reshape(-1, drive.shape[1])
        return flat

    def _fields(self, reading: FloatArray) -> ComplexArray:
        """Return the fields at all planes, shape `(batch, n_readings)`, of readings at all phases of the reference."""
        steps = reading.reshape(_STEPS, -1, reading.shape[-1])
        around = (steps[0] - steps[2]) + 1j * (steps[1] - steps[3])
        field: ComplexArray = around / (4 * self.config.reference_amplitude)
        return field

    def _told(self, field: ComplexArray, side: Side) -> MaskReading:
        """Return what the fields at all planes tell of light from a side."""
        n = self.n_ports
        out = field[:, :n] if side is Side.IN else field[:, n : 2 * n]
        if not self.config.taps:
            return MaskReading(out)
        before, behind = np.split(field[:, -2 * self.n_controls :], 2, -1)
        return MaskReading(out, before, behind)
