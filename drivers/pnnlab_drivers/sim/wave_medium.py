"""A medium with nonlinear nodes at its ports: waveforms go in, and what the nodes met and sent comes out."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.physics import AcousticCavity, DelayLine, FeedbackMedium, NodeFunction, PortedMedium
from pnnlab.quantities import FrozenModel
from pnnlab_drivers.sim._plant import PlantOptions
from pnnlab_drivers.sim.static_board import StaticBoard, StaticBoardOptions

__all__ = ["WaveMediumBoard", "WaveMediumOptions"]


class CavityDesign(FrozenModel):
    """The medium `cavity`: see `pnnlab.physics.AcousticCavity`; times are in samples, lengths in cells of its grid."""

    kind: Literal["cavity"] = "cavity"
    shape: tuple[int, int] = (8, 10)
    ports: tuple[tuple[int, int], ...] = ((1, 2), (5, 7), (3, 4))
    courant: float = 0.6
    damping: float = 0.1
    wall_damping: float = 0.2
    walls: Literal["hard", "open"] = "hard"


class DelayLineDesign(FrozenModel):
    """The medium `delay-line`: see `pnnlab.physics.DelayLine`; times are in samples."""

    kind: Literal["delay-line"]
    delay: int = Field(default=20, gt=0)
    response: float = Field(default=0.0, ge=0)


class WaveMediumOptions(StaticBoardOptions):
    """The options of the plant `sim-wave-medium`.

    Attributes:
        medium: What carries waves between the ports.
        samples: Length of a shot in samples.
        function: What a node sends of what it meets: `tanh`, or `sin2` (a Mach-Zehnder modulator).
        bias: φ of `sin2`, in rad.
        amplitude: β of the nodes.
        gain: g of the nodes.
        node_spread: Relative standard deviation of each node's β and g, times `mismatch`.
        roughness: Relative standard deviation of the damping from cell to cell of a cavity, times `mismatch`.
        flow: Mean flow in a cavity, in cells a sample: breaks its reciprocity; not scaled by `mismatch`.
        noise_rms: Noise of each node at each sample, in V.
    """

    medium: Annotated[CavityDesign | DelayLineDesign, Field(discriminator="kind")] = CavityDesign()
    samples: int = Field(default=32, gt=0)
    function: NodeFunction = "tanh"
    bias: float = 0.0
    amplitude: float = 1.0
    gain: float = 0.5
    node_spread: float = Field(default=0.0, ge=0)
    roughness: float = Field(default=0.0, ge=0)
    flow: float = 0.0
    noise_rms: float = Field(default=0.0, ge=0)


class WaveMediumBoard(StaticBoard):
    """A medium and its nodes behind waveform memories: each channel is one sample of one node in a shot.

    A shot is a waveform that is played into every node, and a record of every node. Here each sample has a channel of
    its own, as the memory of a waveform generator has a cell: the physics in a shot is that of the time series, from
    silence, and all the bookkeeping of setpoints and readings is that of static voltages.

    Channels in: one that switches the nodes over to multiply where it is above 0.5 V; then what is injected, 1 V for 1,
    sample by sample and node by node within a sample; then the gains by which nodes multiply, likewise. Channels out:
    what the nodes met, likewise, and then what they sent.

    Attributes:
        physics: The medium and nodes as they were made: the truth.
    """

    Options: ClassVar[type[PlantOptions]] = WaveMediumOptions
    options: WaveMediumOptions

    def __init__(self, name: str, options: PlantOptions | None = None, *, clock: Clock, seed: int = 0) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        self.physics = self._made().to(self.torch_device)

    @property
    def n_nodes(self) -> int:
        """Return the number of nodes, one at each port."""
        medium = self.options.medium
        return len(medium.ports) if isinstance(medium, CavityDesign) else 1

    @property
    def n_inputs(self) -> int:
        """See `Board.n_inputs`."""
        return 1 + 2 * self.options.samples * self.n_nodes

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        return 2 * self.options.samples * self.n_nodes

    def respond(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond`."""
        return self._run(volts, 0.0)

    def respond_live(self, volts: Tensor) -> Tensor:
        """See `StaticBoard.respond_live`: with the noise of the nodes, which goes round with what they send."""
        return self._run(volts, self.options.noise_rms)

    def _run(self, volts: Tensor, noise_rms: float) -> Tensor:
        switch, *waveforms = volts.split([1, *[self.options.samples * self.n_nodes] * 2], -1)
        injected, gains = (wave.unflatten(-1, (self.options.samples, self.n_nodes)) for wave in waveforms)
        if noise_rms:
            draw = torch.randn(
                injected.shape, generator=self.torch_noise("nodes"), dtype=injected.dtype, device=injected.device
            )
            injected = injected + noise_rms * draw
        met, sent = self.physics(injected, gains, switch[:, 0] > 0.5)
        return torch.cat([met.flatten(1), sent.flatten(1)], -1)

    def _made(self) -> FeedbackMedium:
        options, off = self.options, self.options.mismatch
        generator = self.specimen("nodes")
        spread = 1 + off * options.node_spread * torch.randn(2, self.n_nodes, generator=generator, dtype=torch.float64)
        gain, amplitude = (options.gain * spread[0]).to(self.dtype), (options.amplitude * spread[1]).to(self.dtype)
        return FeedbackMedium(
            self._medium(), gain=gain, function=options.function, amplitude=amplitude, bias=options.bias
        )

    def _medium(self) -> PortedMedium:
        options, design = self.options, self.options.medium
        if isinstance(design, DelayLineDesign):
            return DelayLine(design.delay, response=design.response)
        return AcousticCavity(
            design.shape, design.ports, courant=design.courant, damping=design.damping,
            wall_damping=design.wall_damping, walls=design.walls, flow=options.flow,
            roughness=options.mismatch * options.roughness, seed=self.seed,
        )  # fmt: skip
