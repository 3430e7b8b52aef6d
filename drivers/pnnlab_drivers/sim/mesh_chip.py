"""A chip that carries a mesh of interferometers, between a DAC and an ADC."""

import math
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import Arrangement, InterferometerMesh, MeshCircuit, SvdMesh
from pnnlab.quantities import Radians, Volts
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.static_board import StaticBoard, StaticBoardOptions

__all__ = ["MeshChip"]


class MeshChipOptions(StaticBoardOptions):
    """The options of the plant `sim-mesh-chip`.

    Attributes:
        ports: Guides of the mesh.
        matrix: `unitary` for one mesh, `factored` for two with attenuators between them (`pnnlab.physics.SvdMesh`),
            where taps are between both, and tell fields.
        arrangement: `clements` or `reck`, see `pnnlab.physics.InterferometerMesh`.
        taps: What is read at each phase shifter: `none`, `intensity` by photodiodes, `field` by interferometers.
        coherent: Whether fields are read at the right, beside powers.
        bidirectional: Whether the right has modulators and the left receivers, too.
        two_pi_v: Voltage of a heater for a shift of a turn.
        amplitude_v: Voltage of a modulator for unit amplitude.
        diode_v: Voltage of a photodiode at unit power.
        receiver_v: Voltage of a receiver at unit amplitude.
        coupler_error: Standard deviation of the couplers' imbalance, times `mismatch`, as all spreads.
        phase_offset_rad: Standard deviation of phases that are there without any heat.
        heater_spread: Relative standard deviation of the heaters' resistances, and so of their power at a voltage.
        crosstalk: Part of its own phase that a heater gives its neighbours, times `mismatch`.
        tap_gain_spread: Relative standard deviation of the taps' gains.
        port_gain_spread: Relative standard deviation of the gains of modulators, receivers and photodiodes.
        port_phase_rad: Standard deviation of the phases of modulators and receivers.
        coupler_loss_db: Loss of power in each coupler, of light that meets it.
        guide_loss_db: Loss of power of all guides in each column.
        nonreciprocity_rad: Standard deviation of phases that light meets backwards only; 0 for a reciprocal chip.
        photons: Photons that make a reading of unit power, which sets the shot noise; `null` for none.
    """

    ports: int = Field(default=4, ge=2)
    matrix: Literal["unitary", "factored"] = "unitary"
    arrangement: Arrangement = "clements"
    taps: Literal["none", "intensity", "field"] = "intensity"
    coherent: bool = True
    bidirectional: bool = True
    two_pi_v: Volts = Field(default=4.0, gt=0)
    amplitude_v: Volts = Field(default=4.0, gt=0)
    diode_v: Volts = Field(default=1.0, gt=0)
    receiver_v: Volts = Field(default=1.0, gt=0)
    coupler_error: float = Field(default=0.0, ge=0)
    phase_offset_rad: Radians = Field(default=0.0, ge=0)
    heater_spread: float = Field(default=0.0, ge=0)
    crosstalk: float = 0.0
    tap_gain_spread: float = Field(default=0.0, ge=0)
    port_gain_spread: float = Field(default=0.0, ge=0)
    port_phase_rad: Radians = Field(default=0.0, ge=0)
    coupler_loss_db: float = Field(default=0.0, ge=0)
    guide_loss_db: float = Field(default=0.0, ge=0)
    nonreciprocity_rad: Radians = Field(default=0.0, ge=0)
    photons: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check_receivers(self) -> Self:
        if self.bidirectional and not self.coherent:
            raise ValueError("a chip that is driven from both sides reads fields at both; set `coherent` to true")
        if self.matrix == "factored" and self.taps == "intensity":
            raise ValueError("taps between two meshes tell fields; set `taps` to field or none")
        return self


class MeshChip(StaticBoard):
    """A mesh whose heaters and modulators a `sim-dac` drives and whose detectors a `sim-adc` reads.

    Channels are in the order of `pnnlab.physics.MeshCircuit`. Whoever knows the design does not know this chip's
    couplers, phases, resistances, gains.
    """

    Options: ClassVar[type[PlantOptions]] = MeshChipOptions
    options: MeshChipOptions

    def __init__(self, name: str, options: MeshChipOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        self._made: MeshCircuit | None = None
        super().__init__(name, options, clock=clock, seed=seed)

    @property
    def circuit(self) -> MeshCircuit:
        """Return the chip that was made of the design, with its hidden deviations: the truth."""
        if self._made is None:
            self._made = self._make_circuit().to(self.torch_device)
        return self._made

    @property
    def n_inputs(self) -> int:
        """See `Board.n_inputs`."""
        return self.circuit.n_inputs

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        return self.circuit.n_outputs

    def respond(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond`."""
        readings: Tensor = self.circuit(volts)
        return readings

    def disturbed(self, volts: Tensor, time_s: float) -> Tensor:
        """See `Board.disturbed`: photons are counted, as many as they come."""
        chosen = self.options
        if chosen.photons is None:
            return volts
        noise = torch.randn(volts.shape, generator=self.torch_noise("photons"), dtype=volts.dtype, device=volts.device)
        counts, power = chosen.photons, self.circuit.reads_power.to(volts.device)
        # a receiver mixes light with a strong reference: its noise is that of the reference
        of_power = chosen.diode_v * (volts.clamp(min=0) / chosen.diode_v / counts).sqrt()
        return volts + noise * torch.where(power, of_power, chosen.receiver_v / 2 / math.sqrt(counts))

    def _make_circuit(self) -> MeshCircuit:
        chosen, n = self.options, self.options.ports
        mesh: InterferometerMesh | SvdMesh = self._make_mesh("")
        if chosen.matrix == "factored":
            attenuators = self._spread("attenuators", chosen.phase_offset_rad, n)
            mesh = SvdMesh(self._make_mesh("first "), self._make_mesh("last "), attenuator_error_rad=attenuators)
        heaters = 1 + self._spread("heaters", chosen.heater_spread, mesh.n_phases)
        return MeshCircuit(
            mesh, taps=chosen.taps, coherent=chosen.coherent, bidirectional=chosen.bidirectional,
            amplitude_v=chosen.amplitude_v, diode_v=chosen.diode_v, receiver_v=chosen.receiver_v,
            two_pi_v=chosen.two_pi_v * heaters.sqrt(),
            tap_gain=1 + self._spread("taps", chosen.tap_gain_spread, mesh.n_places),
            diode_gain=1 + self._spread("diodes", chosen.port_gain_spread, n),
            modulator_gain=1 + self._spread("modulators", chosen.port_gain_spread, 2, n),
            modulator_phase_rad=self._spread("modulator phases", chosen.port_phase_rad, 2, n),
            receiver_gain=1 + self._spread("receivers", chosen.port_gain_spread, 2, n),
            receiver_phase_rad=self._spread("receiver phases", chosen.port_phase_rad, 2, n),
        )  # fmt: skip

    def _make_mesh(self, which: str) -> InterferometerMesh:
        chosen = self.options
        design = InterferometerMesh(chosen.ports, chosen.arrangement)
        couplers = chosen.coupler_error
        return InterferometerMesh(
            chosen.ports, chosen.arrangement,
            left_imbalance=self._spread(f"{which}left couplers", couplers, design.n_mzis).clamp(-1, 1),
            right_imbalance=self._spread(f"{which}right couplers", couplers, design.n_mzis).clamp(-1, 1),
            phase_error_rad=self._spread(f"{which}phases", chosen.phase_offset_rad, design.n_phases),
            crosstalk=torch.tensor(chosen.mismatch * chosen.crosstalk, dtype=self.dtype),
            loss_db=torch.tensor(2 * chosen.coupler_loss_db, dtype=self.dtype),
            guide_loss_db=torch.tensor(chosen.guide_loss_db, dtype=self.dtype),
            nonreciprocal_rad=self._spread(f"{which}backward phases", chosen.nonreciprocity_rad, design.n_phases),
        )  # fmt: skip

    def _spread(self, part: str, spread: float, *shape: int) -> Tensor:
        """Return hidden deviations of one kind of part."""
        drawn = torch.randn(shape, generator=self.specimen(part), dtype=torch.float64)
        return (self.options.mismatch * spread * drawn).to(self.dtype)
