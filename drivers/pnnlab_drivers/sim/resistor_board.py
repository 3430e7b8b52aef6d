"""A board with a network of adjustable conductances."""

from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import ConductanceLaw, Diodes, Ohmic, ResistorNetwork, Transistor
from pnnlab.quantities import Amps, Edges, FrozenModel, Numbers, Ohms, Siemens, Volts
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.static_board import StaticBoard, StaticBoardOptions

__all__ = ["ResistorBoard", "ResistorBoardOptions", "ResistorDesign", "shared"]


class ResistorDesign(FrozenModel):
    """The design of a network, which is known to whoever uses the board.

    Attributes:
        nodes: Number of nodes. The first ones are held by the inputs, the last ones are the outputs.
        inputs: How many are held.
        outputs: How many are outputs.
        edges: The two nodes of each element.
        element: A digital `potentiometer`, or a `transistor` with a gate.
        low_siemens: Conductance of a potentiometer at 0 V of its control channel.
        high_siemens: At `control_full` of it.
        control_full_v: See there; for transistors the control channel is the gate.
        wiper_steps: Positions of a potentiometer's wiper; 0 lets it slide.
        cubic_per_v2: Of potentiometers, see `pnnlab.physics.Ohmic`.
        gain_a_per_v2: Of transistors, see `pnnlab.physics.Transistor`.
        threshold_v: See there.
        diode_nodes: Nodes with two diodes to rails, see `pnnlab.physics.Diodes`.
        rail_v: See there.
        saturation_a: See there.
        ideality: See there.
        transconductance_siemens: Current into an output node per volt of its nudge channel.
        switch_v: Voltage of a switch channel from which on an output is clamped.
        ammeter_ohm: Volts per ampere of the ammeters in the input lines; 0 where there are none.
        carrier: Whether a second quantity spreads through the same elements, as a dissolved substance does in flow
            (Anisetti, Scellier & Schwarz 2023, Phys. Rev. Research 5, 023024): it is released at outputs, absorbed at
            inputs, moves as elements at 0 V let a current through, and is measured at every node.
    """

    nodes: int = Field(gt=1)
    inputs: int = Field(gt=0)
    outputs: int = Field(gt=0)
    edges: Edges = Field(min_length=1)
    element: Literal["potentiometer", "transistor"] = "potentiometer"
    low_siemens: Siemens = Field(default=1e-6, gt=0)
    high_siemens: Siemens = Field(default=1e-4, gt=0)
    control_full_v: Volts = Field(default=5.0, gt=0)
    wiper_steps: int = Field(default=256, ge=0)
    cubic_per_v2: float = Field(default=0.0, ge=0)
    gain_a_per_v2: float = Field(default=1e-4, gt=0)
    threshold_v: Volts = 0.8
    diode_nodes: Numbers = ()
    rail_v: Volts = 0.0
    saturation_a: Amps = Field(default=2.5e-9, gt=0)
    ideality: float = Field(default=1.75, gt=0)
    transconductance_siemens: Siemens = Field(default=1e-4, gt=0)
    switch_v: Volts = 1.0
    ammeter_ohm: Ohms = Field(default=0.0, ge=0)
    carrier: bool = False

    @model_validator(mode="after")
    def _check_nodes(self) -> Self:
        if self.inputs + self.outputs > self.nodes:
            raise ValueError(f"{self.inputs} inputs and {self.outputs} outputs are more than {self.nodes} nodes")
        beyond = [n for n in (*self.diode_nodes, *(n for edge in self.edges for n in edge)) if n >= self.nodes]
        if beyond or any(n < self.inputs for n in self.diode_nodes):
            raise ValueError(
                f"edges and diode_nodes must be of the nodes 0 to {self.nodes - 1}, and diodes not at the "
                f"{self.inputs} inputs"
            )
        return self

    def law(self) -> ConductanceLaw:
        """Return what current flows through an element."""
        if self.element == "transistor":
            return Transistor(self.gain_a_per_v2, self.threshold_v)
        return Ohmic(self.cubic_per_v2)


class ResistorBoardOptions(StaticBoardOptions):
    """The options of the plant `sim-resistor-network`.

    Attributes:
        network: The design.
        conductance_spread: Relative standard deviation of the conductances from the design, times `mismatch`; of
            transistors, of the gate's voltage above threshold.
        diode_spread: The same of the diodes' saturation currents.
        nudge_spread: The same of the nudges' transconductances.
        gyration: Breaks reciprocity, see `pnnlab.physics.ResistorNetwork`; `mismatch` does not scale it.
    """

    network: ResistorDesign
    conductance_spread: float = Field(default=0.0, ge=0)
    diode_spread: float = Field(default=0.0, ge=0)
    nudge_spread: float = Field(default=0.0, ge=0)
    gyration: float = 0.0


class ResistorBoard(StaticBoard):
    """A network of adjustable conductances between a DAC and an ADC.

    Channels of the DAC, in this order: voltages of the input nodes; controls of the elements; for each output one that
    is a current into it (times the transconductance), one that is the voltage at which it is clamped, and one that
    closes the clamp's switch; with a carrier, one for each output that releases it. Channels of the ADC: voltages of
    all nodes; with ammeters, the currents out of the inputs' sources; with a carrier, its concentration at all nodes.

    The steady state is computed in double precision, whatever the plant's precision.
    """

    Options: ClassVar[type[PlantOptions]] = ResistorBoardOptions
    options: ResistorBoardOptions

    def __init__(self, name: str, options: PlantOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        design, mismatch = self.design, self.options.mismatch
        n_edges, n_diodes = len(design.edges), len(design.diode_nodes)
        self._factor = self._drawn("conductances", n_edges, self.options.conductance_spread * mismatch)
        spread = self._drawn("diodes", 2 * n_diodes, self.options.diode_spread * mismatch) - 1
        self._nudge_a_per_v = design.transconductance_siemens * self._drawn(
            "nudges", design.outputs, self.options.nudge_spread * mismatch
        )
        diodes = Diodes(
            design.diode_nodes, design.nodes, rail_v=design.rail_v, saturation_a=design.saturation_a,
            ideality=design.ideality, spread=spread,
        ) if n_diodes else None  # fmt: skip
        self.network = ResistorNetwork(
            design.nodes, design.edges, range(design.inputs), law=design.law(), diodes=diodes,
            gyration=self.options.gyration,
        )  # fmt: skip
        self._carrier = ResistorNetwork(design.nodes, design.edges, range(design.inputs)) if design.carrier else None

    @property
    def design(self) -> ResistorDesign:
        """Return the design."""
        return self.options.network

    @property
    def n_inputs(self) -> int:
        """Return the number of DAC channels."""
        design = self.design
        return design.inputs + len(design.edges) + (3 + design.carrier) * design.outputs

    @property
    def n_outputs(self) -> int:
        """Return the number of ADC channels."""
        design = self.design
        return design.nodes * (1 + design.carrier) + (design.inputs if design.ammeter_ohm else 0)

    def respond(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond`."""
        held, control, nudge, clamp, switch, *release = self._channels(volts)
        setting = self._made(shared(self.settings_of(control)), self._factor)
        state = self._state(self.network, held, setting, nudge, clamp, switch)
        readings = [state]
        if self.design.ammeter_ohm:
            readings.append(self.design.ammeter_ohm * self.network.source_currents(state, setting))
        if self._carrier is not None:
            passes = self.network.law.conductance(setting)
            source = self._at_outputs(release[0] * self.design.transconductance_siemens)
            readings.append(self._carrier.solve(torch.zeros_like(held), passes, current_a=source))
        return torch.cat(readings, 1).to(volts)

    def settings_of(self, control: Tensor) -> Tensor:
        """Return what elements are set to by voltages of their control channels, without this board's errors.

        Args:
            control: Shape `(..., n_edges)`, in V.

        Returns:
            Conductances in S, or gate voltages in V; steps of wipers let gradients through.
        """
        design = self.design
        if design.element == "transistor":
            return control
        fraction = (control / design.control_full_v).clamp(0, 1)
        if design.wiper_steps:
            last = design.wiper_steps - 1
            fraction = fraction + ((fraction * last).round() / last - fraction).detach()
        return design.low_siemens + fraction * (design.high_siemens - design.low_siemens)

    # Parts

    def _channels(self, volts: Tensor) -> tuple[Tensor, ...]:
        """Return the DAC's channels by what they do, in double precision."""
        design = self.design
        sizes = [design.inputs, len(design.edges), *[design.outputs] * (3 + design.carrier)]
        return torch.split(volts.to("cpu", torch.float64), [*sizes, self.n_inputs - sum(sizes)], 1)

    def _state(
        self, network: ResistorNetwork, held: Tensor, setting: Tensor, nudge: Tensor, clamp: Tensor, switch: Tensor
    ) -> Tensor:
        closed = torch.zeros(len(held), network.n_nodes, dtype=torch.bool)
        closed[:, -self.design.outputs :] = switch > self.design.switch_v
        return network.solve(
            held, setting, current_a=self._at_outputs(nudge * self._nudge_a_per_v), clamped=closed,
            clamp_v=self._at_outputs(clamp),
        )  # fmt: skip

    def _at_outputs(self, values: Tensor) -> Tensor:
        """Return what outputs have as rows of all nodes."""
        return torch.nn.functional.pad(values, (self.design.nodes - self.design.outputs, 0))

    def _made(self, setting: Tensor, factor: Tensor) -> Tensor:
        """Return what this specimen makes of settings: factors of conductances, or of gates' overdrive."""
        threshold = self.design.threshold_v if self.design.element == "transistor" else 0.0
        return threshold + (setting - threshold) * factor

    def _drawn(self, who: str, n: int, spread: float) -> Tensor:
        """Return factors of the parts of this specimen, 1 on the mean, none below a tenth."""
        return (1 + spread * torch.randn(n, generator=self.specimen(who), dtype=torch.float64)).clamp_min(0.1)


def shared(settings: Tensor) -> Tensor:
    """Return one row of settings where all are alike and no gradient tells rows apart: one network is quicker."""
    alike = not settings.requires_grad and bool((settings == settings[:1]).all())
    return settings[:1] if alike else settings
