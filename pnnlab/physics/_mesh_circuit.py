"""A mesh of interferometers with its electrical side: heaters, modulators, photodiodes and receivers."""

import math
from typing import Final, Literal

import torch
from torch import Tensor, nn

from pnnlab.physics._mesh import InterferometerMesh
from pnnlab.physics._mesh_fields import MeshFields, mesh_fields
from pnnlab.physics._quantity import QuantityLike, register_quantity
from pnnlab.physics._svd_mesh import SvdMesh

__all__ = ["MeshCircuit", "Taps"]

Taps = Literal["none", "intensity", "field"]
_SIDES: Final = 2


class MeshCircuit(nn.Module):
    """From voltages at heaters and modulators to those of detectors, once all is at rest.

    Voltages in, shape `(..., n_inputs)`: one heater a phase shifter, which shifts by `2π (V / two_pi_v)²` because it is
    power that heats; then the modulators of the left side, in-phase and quadrature, one pair a port, whose fields are
    `V / amplitude_v`; with `bidirectional` those of the right side. Voltages out, shape `(..., n_outputs)`: photodiodes
    at the right, `diode_v` per unit of power; with `coherent` the right's receivers, in-phase and quadrature,
    `receiver_v` per unit of field; with `bidirectional` the left's; then taps in the order of the phase shifters, on
    the side of each towards the outputs: powers, `diode_v` each unit, or fields as receivers tell them, in-phase and
    quadrature. Light that runs in both directions adds its powers in a tap, and its fields in one of fields.

    Args:
        mesh: The optics; what can be looked at inside it is at its phase shifters, or between two meshes.
        taps: What is read inside.
        coherent: Whether there are receivers at the right.
        bidirectional: Whether the right has modulators and the left receivers.
        two_pi_v: Voltage of a heater that shifts by a turn, shape `(n_phases,)`.
        amplitude_v: See above.
        diode_v: See above.
        receiver_v: See above.
        modulator_gain: Relative gain of each modulator, by side and port, shape `(2, n)`.
        modulator_phase_rad: Phase at which its light is, same shape.
        receiver_gain: Relative gain of each receiver, by side and port, shape `(2, n)`.
        receiver_phase_rad: Phase by which it turns what it reads, same shape.
        diode_gain: Relative gain of photodiodes at the outputs, shape `(n,)`.
        tap_gain: Relative gain of taps (of power where they tell powers), shape `(n_places,)`.

    Each quantity is a buffer, or learned if it is an `nn.Parameter`.
    """

    two_pi_v: Tensor
    modulator_gain: Tensor
    modulator_phase_rad: Tensor
    receiver_gain: Tensor
    receiver_phase_rad: Tensor
    diode_gain: Tensor
    tap_gain: Tensor

    def __init__(
        self, mesh: InterferometerMesh | SvdMesh, *, taps: Taps = "none", coherent: bool = False,
        bidirectional: bool = False, two_pi_v: QuantityLike = 4.0, amplitude_v: float = 4.0, diode_v: float = 1.0,
        receiver_v: float = 1.0,
        modulator_gain: QuantityLike = 1.0, modulator_phase_rad: QuantityLike = 0.0, receiver_gain: QuantityLike = 1.0,
        receiver_phase_rad: QuantityLike = 0.0, diode_gain: QuantityLike = 1.0, tap_gain: QuantityLike = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.mesh, self.taps, self.coherent, self.bidirectional = mesh, taps, coherent, bidirectional
        self.amplitude_v, self.diode_v, self.receiver_v = amplitude_v, diode_v, receiver_v
        n = mesh.n_ports
        quantities = {
            "two_pi_v": (two_pi_v, (mesh.n_phases,)), "diode_gain": (diode_gain, (n,)),
            "tap_gain": (tap_gain, (mesh.n_places,)), "modulator_gain": (modulator_gain, (_SIDES, n)),
            "modulator_phase_rad": (modulator_phase_rad, (_SIDES, n)), "receiver_gain": (receiver_gain, (_SIDES, n)),
            "receiver_phase_rad": (receiver_phase_rad, (_SIDES, n)),
        }  # fmt: skip
        for name, (value, shape) in quantities.items():
            register_quantity(self, name, value, shape=shape)

    @property
    def n_inputs(self) -> int:
        """Return the number of voltages that come in."""
        return self.mesh.n_phases + 2 * self.mesh.n_ports * (2 if self.bidirectional else 1)

    @property
    def n_outputs(self) -> int:
        """Return the number of voltages that go out."""
        receivers = 2 * self.mesh.n_ports * (self.coherent + self.bidirectional)
        return self.mesh.n_ports + receivers + {"none": 0, "intensity": 1, "field": 2}[self.taps] * self.mesh.n_places

    @property
    def reads_power(self) -> Tensor:
        """Return which voltages out tell powers, the others tell fields, shape `(n_outputs,)`."""
        tells = torch.zeros(self.n_outputs, dtype=torch.bool)
        tells[: self.mesh.n_ports] = True
        if self.taps == "intensity":
            tells[-self.mesh.n_places :] = True
        return tells

    def phases(self, heater_v: Tensor) -> Tensor:
        """Return what heaters set, in rad, shape `(..., n_phases)`, for their voltages, same shape."""
        return 2 * math.pi * (heater_v / self.two_pi_v.to(heater_v.dtype)).square()

    def forward(self, volts: Tensor) -> Tensor:
        """Return the voltages out, see above."""
        if volts.shape[-1] != self.n_inputs:
            raise ValueError(f"mesh circuit: voltages have shape {tuple(volts.shape)}, expected (..., {self.n_inputs})")
        n, heaters = self.mesh.n_ports, self.mesh.n_phases
        phases = self.phases(volts[..., :heaters])
        run = self._fields(self._entering(volts), phases)
        right, inside = run.out, [run.inside]
        readings = [self.diode_v * self.diode_gain.to(volts.dtype) * _power(right)]
        if self.coherent:
            readings.append(self._received(1, right))
        if self.bidirectional:
            back = self._fields(self._modulated(1, volts[..., heaters + 2 * n :]), phases, backward=True)
            inside.append(back.inside)
            readings.append(self._received(0, back.out))
        if self.taps != "none":
            readings.append(self._tapped(inside))
        return torch.cat(readings, -1)

    def between(self, volts: Tensor) -> Tensor:
        """Return the fields of forward light between two meshes, complex, shape `(..., n)`; see `SvdMesh`.

        Args:
            volts: As in `forward`.
        """
        return self._halves.between(self._entering(volts), self.phases(volts[..., : self.mesh.n_phases]))

    def seen_right(self, between: Tensor, volts: Tensor) -> Tensor:
        """Return the voltages of photodiodes, and of receivers if `coherent`, for fields between two meshes.

        Args:
            between: Complex, shape `(..., n)`.
            volts: As in `forward`; of the heaters alone.
        """
        right = self._halves.leaving(between, self.phases(volts[..., : self.mesh.n_phases]))
        power = self.diode_v * self.diode_gain.to(volts.dtype) * _power(right)
        return torch.cat([power, self._received(1, right)], -1) if self.coherent else power

    @property
    def _halves(self) -> SvdMesh:
        if not isinstance(self.mesh, SvdMesh):
            raise TypeError("mesh circuit: there is one mesh, so nothing is between two")
        return self.mesh

    def _entering(self, volts: Tensor) -> Tensor:
        """Return the fields that enter at the left."""
        heaters = self.mesh.n_phases
        return self._modulated(0, volts[..., heaters : heaters + 2 * self.mesh.n_ports])

    def _fields(self, field: Tensor, phases: Tensor, *, backward: bool = False) -> MeshFields:
        if isinstance(self.mesh, SvdMesh):
            return self.mesh.fields(field, phases, backward=backward)
        return mesh_fields(self.mesh, field, phases, backward=backward)

    def _modulated(self, side: int, volts: Tensor) -> Tensor:
        """Return the fields that the modulators of a side (0 left, 1 right) make."""
        i, q = volts.chunk(2, -1)
        return torch.complex(i, q) * self._gain("modulator", side, i) / self.amplitude_v

    def _received(self, side: int, field: Tensor) -> Tensor:
        seen = field * self._gain("receiver", side, field.real) * self.receiver_v
        return torch.cat([seen.real, seen.imag], -1)

    def _tapped(self, inside: list[Tensor]) -> Tensor:
        gain = self.tap_gain.to(inside[0].real.dtype)
        if self.taps == "intensity":
            return self.diode_v * gain * torch.stack([_power(field) for field in inside]).sum(0)
        seen = self.receiver_v * gain * torch.stack(inside).sum(0)
        return torch.cat([seen.real, seen.imag], -1)

    def _gain(self, what: str, side: int, like: Tensor) -> Tensor:
        size, angle = (getattr(self, f"{what}_{part}") for part in ("gain", "phase_rad"))
        size, angle = (part.to(like.dtype).expand(_SIDES, self.mesh.n_ports)[side] for part in (size, angle))
        turned: Tensor = torch.polar(torch.ones_like(angle), angle) * size
        return turned


def _power(field: Tensor) -> Tensor:
    return field.real.square() + field.imag.square()
