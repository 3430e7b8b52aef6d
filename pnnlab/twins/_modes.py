"""The twin of coupled modes between converters."""

from typing import Literal

import torch
from torch import Tensor, nn

from pnnlab.errors import TwinError
from pnnlab.physics import ModesDesign
from pnnlab.twins._twin import DigitalTwin, Interface

__all__ = ["ModesTwin", "ModesTwinConfig"]


class ModesTwinConfig(ModesDesign):
    """A twin of the kind `modes` in a recipe: coupled modes as designed, with everything to learn."""

    kind: Literal["modes"] = "modes"


class ModesTwin(DigitalTwin):
    """The design's modes: detunings, couplings both ways, losses, Kerr shifts and hertz a volt are learned.

    Args:
        config: The design.
        interface: The system's shapes and units.
        dtype: Floating type.

    Raises:
        TwinError: The interface does not tell how a drive becomes volts, or the system has other channels.
    """

    def __init__(self, config: ModesTwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(interface)
        self._to_setpoints, self._decode = interface.in_units("ModesTwin", "a system of modes")
        # all frequencies in units of κ_ext: only their ratios count, and numbers near 1 are what a fit can learn
        kappa = config.external_hz
        scaled = {name: getattr(config, name) / kappa for name in type(config).model_fields if "_hz" in name}
        self.tuned = config.model_copy(update=scaled).build(dtype)
        if interface.drive_shapes != ((self.tuned.n_in,),):
            raise TwinError(
                f"ModesTwin: {config.modes} modes with {len(config.pairs)} couplings have {self.tuned.n_in} channels, "
                f"the system drives {interface.drive_shapes}; give the twin the numbers of the bench file"
            )
        for module in (self.tuned, self.tuned.modes):
            for name, value in list(module.named_buffers(recurse=False)):
                if name != "kerr_hz_per_v2" or config.kerr_hz:
                    delattr(module, name)
                    shaped = value.expand(self.tuned.modes.n_modes) if not value.ndim else value
                    module.register_parameter(name, nn.Parameter(shaped.clone()))

    def forward(self, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.forward`."""
        self.check(*drive)
        (volts,) = self._to_setpoints(*drive)
        return self._decode(self.tuned(volts[..., -1, :])[..., None, :])
