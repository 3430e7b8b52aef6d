"""A board of coupled phase oscillators."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.devices import Clock
from pnnlab.errors import DeviceError
from pnnlab.physics import PhaseOscillators
from pnnlab_drivers.sim._node_board import NodeBoard, NodeSetting, SettlingNodeOptions
from pnnlab_drivers.sim._plant import PlantOptions

__all__ = ["OscillatorBoard", "OscillatorBoardOptions"]


class OscillatorBoardOptions(SettlingNodeOptions):
    """The options of the plant `sim-oscillators`.

    Attributes:
        lock: Strength of the common reference, see `pnnlab.physics.PhaseOscillators`.
        injection: Strength of the injection at the second harmonic.
        detuning_spread: Standard deviation of the oscillators' frequencies, in units in which couplings are, times
            `mismatch`.
        phase_noise: Diffusion constant of each phase; needs a `settling` time.
    """

    lock: float = Field(default=1.0, ge=0)
    injection: float = Field(default=0.0, ge=0)
    detuning_spread: float = Field(default=0.0, ge=0)
    phase_noise: float = Field(default=0.0, ge=0)


class OscillatorBoard(NodeBoard):
    """Phase oscillators between `sim-dac` and `sim-adc`; see `pnnlab.physics.PhaseOscillators`.

    Each free oscillator is mixed with the reference and with its quadrature: the channels of the ADC are the sines of
    all phases, then their cosines.
    """

    Options: ClassVar[type[PlantOptions]] = OscillatorBoardOptions
    options: OscillatorBoardOptions

    def __init__(
        self, name: str, options: OscillatorBoardOptions | None = None, *, clock: Clock, seed: int = 0
    ) -> None:
        super().__init__(name, options, clock=clock, seed=seed)
        options, n = self.options, self.graph.n_free
        if options.phase_noise and options.settling is None:
            raise DeviceError(
                f"{name}: noisy phases never come to rest; give `settling` a time, or set `phase_noise` 0"
            )
        apart = torch.randn(n, dtype=self.dtype, generator=self.specimen("detuning"))
        network = PhaseOscillators(
            self.skew(n, options.asymmetry), options.detuning_spread * options.mismatch * apart, lock=options.lock,
            injection=options.injection, settling=self.settling_for(step=0.2, noise=options.phase_noise),
        )  # fmt: skip
        self.network = network.to(self.torch_device)

    @property
    def n_outputs(self) -> int:
        """See `Board.n_outputs`."""
        return 2 * self.graph.n_free

    def readings(self, setting: NodeSetting, noise: torch.Generator | None) -> Tensor:
        """See `NodeBoard.readings`."""
        network = self.network
        acting = self.graph.acting(setting.inputs, setting.couplings, setting.biases)
        phase = network.relax(acting, self.start_of(network.start(acting), noise), generator=noise)
        if setting.clamp is not None or bool(setting.nudge.any()):
            phase = network.relax(acting.nudged(setting.nudge), phase, clamp=setting.clamp, generator=noise)
        return torch.cat([phase.sin(), phase.cos()], -1)
