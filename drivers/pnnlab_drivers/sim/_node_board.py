"""A board of coupled nodes: what all such boards are told by their voltages."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import Joining, LayeredGraph, Settling
from pnnlab.quantities import Volts
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.static_board import StaticBoard, StaticBoardOptions

__all__ = ["NodeBoard", "NodeBoardOptions", "NodeSetting", "SettlingNodeOptions"]


class NodeBoardOptions(StaticBoardOptions):
    """The keys that the options of all boards of coupled nodes share.

    Attributes:
        layers: Nodes of each layer: inputs, which are held, hidden ones, outputs.
        joining: Which pairs of nodes are joined: those of neighbouring layers, or all but two inputs.
        unit_v: Voltage of a coupling, a bias, an input, a force and a value of 1.
        coupling_spread: Relative standard deviation of the couplings from what their voltages ask for, times
            `mismatch`; the same in both directions.
        bias_spread: Standard deviation of the bias of each node that nobody asked for, times `mismatch`.
    """

    layers: tuple[int, ...] = Field(min_length=2)
    joining: Joining = "neighbours"
    unit_v: Volts = Field(default=1.0, gt=0)
    coupling_spread: float = Field(default=0.0, ge=0)
    bias_spread: float = Field(default=0.0, ge=0)

    @field_validator("layers")
    @classmethod
    def _check_layers(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        if min(layers) < 1:
            raise ValueError(f"{layers} are not numbers of nodes above 0")
        return layers


class SettlingNodeOptions(NodeBoardOptions):
    """The keys that the options of boards share whose nodes settle down a force.

    Attributes:
        asymmetry: Relative standard deviation by which what one node feels of another differs from what the other feels
            of it; 0 for nodes that have an energy.
        settling: Time that nodes are given, before and after they are nudged, in units in which a force is a velocity;
            `null` waits for equilibrium.
        start_spread: Standard deviation of where nodes begin, in each shot anew.
    """

    asymmetry: float = Field(default=0.0, ge=0)
    settling: float | None = Field(default=None, gt=0)
    start_spread: float = Field(default=0.0, ge=0)


@dataclass(frozen=True, slots=True)
class NodeSetting:
    """What voltages ask of a board.

    Attributes:
        inputs: Values at which input nodes are held, shape `(batch, n_inputs)`.
        couplings: One a pair, shape `(batch, n_pairs)`.
        biases: Shape `(batch, n_biases)`.
        nudge: Force on each output, shape `(batch, n_outputs)`.
        clamp: Where outputs are held, same shape, NaN for free ones; `None` where all are free.
    """

    inputs: Tensor
    couplings: Tensor
    biases: Tensor
    nudge: Tensor
    clamp: Tensor | None


class NodeBoard(StaticBoard):
    """Nodes whose couplings are voltages.

    The channels of the DAC are, in this order: the inputs; a coupling for each pair of nodes, in the order of
    `pnnlab.physics.LayeredGraph`; biases; forces on the outputs, which are switched on once the free nodes have
    settled; values at which outputs are held, and a switch that holds them above 0.5, where there is one.
    """

    Options: ClassVar[type[PlantOptions]] = NodeBoardOptions
    options: NodeBoardOptions
    has_clamp: ClassVar[bool] = True

    def __init__(self, name: str, options: NodeBoardOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        told = self.Options() if options is None else options
        assert isinstance(told, NodeBoardOptions)  # noqa: S101 (the bench file is checked against Options)
        self.graph = LayeredGraph(told.layers, joining=told.joining)
        super().__init__(name, told, clock=clock, seed=seed)
        own = self.specimen("nodes")
        spread = told.coupling_spread * told.mismatch
        self._gain = 1 + spread * torch.randn(self.graph.n_pairs, dtype=self.dtype, generator=own)
        stray = torch.randn(self.n_biases, dtype=self.dtype, generator=own)
        self._stray = told.bias_spread * told.mismatch * stray

    @property
    def n_biases(self) -> int:
        """Return the number of controls beside the couplings."""
        return self.graph.n_free

    @property
    def n_inputs(self) -> int:
        """See `Board.n_inputs`."""
        return sum(self._parts)

    @property
    def _parts(self) -> tuple[int, ...]:
        """Return how many channels of the DAC carry what."""
        graph = self.graph
        parts = (graph.n_inputs, graph.n_pairs, self.n_biases, graph.n_outputs)
        return (*parts, graph.n_outputs, 1) if self.has_clamp else parts

    def setting(self, volts: Tensor) -> NodeSetting:
        """Return what voltages, shape `(batch, n_inputs)`, ask for, with the board's own deviations."""
        inputs, couplings, biases, nudge, *held = (volts / self.options.unit_v).split(self._parts, -1)
        clamp = None
        if held and bool((held[1] > 0.5).any()):
            clamp = torch.where(held[1] > 0.5, held[0], torch.nan)
        device = volts.device
        return NodeSetting(inputs, couplings * self._gain.to(device), biases + self._stray.to(device), nudge, clamp)

    def skew(self, n: int, asymmetry: float) -> Tensor:
        """Return an antisymmetric matrix of normal numbers, shape `(n, n)`, of this standard deviation."""
        away = torch.randn(n, n, dtype=self.dtype, generator=self.specimen("asymmetry"))
        return (asymmetry / math.sqrt(2)) * (away - away.mT)

    def respond(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond`."""
        return self.options.unit_v * self.readings(self.setting(volts), None)

    def respond_live(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond_live`."""
        # states are made exact by derivatives, which inference tensors cannot have
        with torch.inference_mode(mode=False), torch.no_grad():
            return self.options.unit_v * self.readings(self.setting(volts.clone()), self.torch_noise("nodes"))

    @abstractmethod
    def readings(self, setting: NodeSetting, noise: torch.Generator | None) -> Tensor:
        """Return what the ADC sees, in units, shape `(batch, n_outputs)`.

        Args:
            setting: What acts.
            noise: Source of the physics' own randomness; without one the readings are those of the mean.
        """

    def settling_for(self, step: float, noise: float = 0.0) -> Settling:
        """Return how nodes settle, for boards whose options are `SettlingNodeOptions`."""
        options = self.options
        assert isinstance(options, SettlingNodeOptions)  # noqa: S101 (each such board declares them)
        return Settling(duration=options.settling, step=step, noise=noise)

    def start_of(self, rest: Tensor, noise: torch.Generator | None) -> Tensor:
        """Return where nodes begin in a shot; arguments as for `settling_for` and `readings`."""
        options = self.options
        assert isinstance(options, SettlingNodeOptions)  # noqa: S101 (each such board declares them)
        if noise is None or not options.start_spread:
            return rest
        kick = torch.empty_like(rest).normal_(0.0, options.start_spread, generator=noise)
        return rest + kick
