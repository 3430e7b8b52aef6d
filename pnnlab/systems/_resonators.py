"""Linear resonators as a scattering network, and nonlinear ones as a driven network."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from pnnlab.systems._capability import Capability
from pnnlab.systems._mode_network import ComplexArray, ModeNetwork, ModeNetworkConfig, different_modes
from pnnlab.systems._shots import FloatArray

__all__ = ["KerrModes", "KerrModesConfig", "Resonators", "ResonatorsConfig"]


class ResonatorsConfig(ModeNetworkConfig):
    """A system of the kind `resonators` in the bench file.

    Attributes:
        probes: Ports at which the probe is injected.
        probe: Its field at each, in phase, in units of `unit`.
    """

    kind: Literal["resonators"] = "resonators"
    probes: tuple[int, ...] = Field(min_length=1)
    probe: float = 1.0


class Resonators(ModeNetwork):
    """Linear modes whose detunings carry inputs, under a probe that stays the same: outputs are elements of S.

    The wave equation is linear, and yet outputs are nonlinear in the inputs, as `S = 1 - i √κ (ω - H)⁻¹ √κ` is in H
    (Wanjura & Marquardt 2024, Nat. Phys. 20, 1434). An input that several detunings show enters in higher powers.
    """

    Config = ResonatorsConfig
    config: ResonatorsConfig

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`."""
        return frozenset({
            Capability.SCATTERING, Capability.RECIPROCAL, Capability.FIELD_OUTPUT, Capability.BIDIRECTIONAL,
            Capability.LOCAL_STATE, Capability.NUDGE,
        })  # fmt: skip

    def input_gradient(self, ahead: ComplexArray, back: ComplexArray, error: ComplexArray) -> FloatArray:
        """See `ModeNetwork.input_gradient`."""
        slopes = (1j / self.config.external_hz * ahead * back).real
        return self._to_inputs(slopes * self.config.detuning_hz)

    def _named_modes(self) -> Mapping[str, Sequence[int]]:
        return {"probes": self.config.probes}

    def _input_channels(self) -> npt.NDArray[np.int64]:
        return self.input_modes

    def _constant_field(self) -> ComplexArray:
        field = np.zeros(self.config.modes, np.complex128)
        field[list(self.config.probes)] = self.config.probe
        return field


class KerrModesConfig(ModeNetworkConfig):
    """A system of the kind `kerr-modes` in the bench file.

    Attributes:
        drive: Field in phase that is always injected, in units of `unit`, beside the inputs.
        drive_modes: Modes at which it is; the input modes if `null`. Modes of its own give outputs a constant that does
            not depend on how they weigh the inputs: at the input modes it comes as their sum alone.
    """

    kind: Literal["kerr-modes"] = "kerr-modes"
    drive: float = 0.0
    drive_modes: tuple[int, ...] | None = None

    @field_validator("drive_modes")
    @classmethod
    def _check_drive_modes(cls, modes: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return different_modes(modes)


class KerrModes(ModeNetwork):
    """Nonlinear modes, driven by fields that carry the inputs: outputs are quadratures of what leaves.

    What a mode is shifted by grows with the power inside it, so a weak error that is added to the drive meets the
    network as it is: linearised where the inputs have brought it (Dal Cin, Marquardt & Wanjura 2025, arXiv 2508.11750).
    """

    Config = KerrModesConfig
    config: KerrModesConfig

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `System.capabilities`."""
        return frozenset(
            {Capability.NUDGE, Capability.SCATTERING, Capability.LOCAL_STATE, Capability.FIELD_OUTPUT}
        )  # fmt: skip

    def input_gradient(self, ahead: ComplexArray, back: ComplexArray, error: ComplexArray) -> FloatArray:
        """See `ModeNetwork.input_gradient`: what leaves the input ports of an injected error."""
        return self._to_inputs((error + back).real)

    def _named_modes(self) -> Mapping[str, Sequence[int]]:
        return {"drive_modes": self.config.drive_modes or ()}

    def _input_channels(self) -> npt.NDArray[np.int64]:
        return self.config.modes + len(self.config.pairs) + self.input_modes

    def _constant_field(self) -> ComplexArray:
        field = np.zeros(self.config.modes, np.complex128)
        driven = self.config.drive_modes
        field[self.input_modes if driven is None else list(driven)] = self.config.drive
        return field
