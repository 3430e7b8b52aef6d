"""Two copies of a network of conductances, one free and one pushed, on one board that compares them."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from pnnlab.systems._capability import Capability
from pnnlab.systems._port_system import PortSystemConfig
from pnnlab.systems._probes import Equilibrium
from pnnlab.systems._resistor_network import ResistorNetworkConfig, ResistorNetworkSystem
from pnnlab.systems._shots import FloatArray

__all__ = ["ResistorCopiesConfig", "ResistorCopiesSystem"]


class ResistorCopiesConfig(ResistorNetworkConfig):
    """A system of the kind `resistor-copies` in the bench file: the keys of `resistor-network`, and these.

    The DAC has three more channels: η, how long the copies learn, and a switch above which controls keep what they have
    learned. The ADC's are the nodes of the first copy, those of the second, and the controls.

    Attributes:
        learn_s_per_v: How long the copies learn per volt of the channel for that.
    """

    kind: Literal["resistor-copies"] = "resistor-copies"  # type: ignore[assignment]
    carrier: Literal[False] = False
    ammeter_ohm: Literal[0] = 0
    hold: Literal[1] = 1
    learn_s_per_v: float = Field(default=1e-3, gt=0)


class ResistorCopiesSystem(ResistorNetworkSystem):
    """What `resistor-network` does, with a second copy that is pushed while the first stays free.

    `relax` reads the first copy, or the second where that is nudged or clamped, so whatever the copies differ by is in
    every comparison of theirs. `learn` lets the board itself change the controls.
    """

    Config: ClassVar[type[PortSystemConfig]] = ResistorCopiesConfig
    config: ResistorCopiesConfig

    def _channels(self) -> tuple[int, int]:
        n_dac, n_adc = super()._channels()
        return n_dac + 3, 2 * n_adc + self.n_controls

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`."""
        return super().capabilities | {Capability.LEARNS}

    def learn(
        self, x: FloatArray, target: FloatArray, theta: FloatArray, *, eta: float, learn_s: float
    ) -> tuple[FloatArray, FloatArray]:
        """Show samples one after the other and let the copies learn each of them.

        The board holds its controls from the first sample to the last; a sample whose reading is lost is shown, and
        learned, again.

        Args:
            x: Inputs, shape `(batch, n_in)`.
            target: What the outputs should be, shape `(batch, n_out)`.
            theta: Controls before, shape `(n_controls,)`.
            eta: By which part of their distance the clamped copy's outputs are held nearer to the target.
            learn_s: How long each is learned, in s.

        Returns:
            Outputs of the free copy before it learned the sample, shape `(batch, n_out)`, and controls afterwards,
            shape `(n_controls,)`.

        Raises:
            SetpointError: Outside what the board can make; nothing was sent.
        """
        drive = self._drive(x, theta)
        self._put(drive, 1, target, self.config.full_scale_v)
        self._put(drive, 2, np.ones_like(target), self.config.switch_v)
        drive[:, -3:-1] = np.array([eta, learn_s / self.config.learn_s_per_v]) / self.config.unit_v
        drive[1:, -1] = self.config.switch_v / self.config.unit_v
        reading = self.probe(drive)
        low_v, high_v = self.config.control_low_v, self.config.control_high_v
        control = (reading[-1, -self.n_controls :] - low_v) / (high_v - low_v)
        return self.outputs(reading), np.clip(control, 0, 1)

    def _drive(self, x: FloatArray, theta: FloatArray) -> FloatArray:
        drive = super()._drive(x, theta)
        drive[:, -3] = 1 / self.config.unit_v  # clamps hold what they are told
        return drive

    def _equilibrium(self, reading: FloatArray, *, pushed: bool) -> Equilibrium:
        n = self.config.nodes
        return super()._equilibrium(reading[:, n : 2 * n] if pushed else reading[:, :n], pushed=pushed)
