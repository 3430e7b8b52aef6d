"""The twin of light through a panel and a medium onto a camera."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.errors import TwinError
from pnnlab.physics import PhaseModulator, TransmissionMatrix, click_probability, intensity
from pnnlab.quantities import FrozenModel
from pnnlab.twins._twin import Interface, StagedTwin

__all__ = ["OpticalTwin", "OpticalTwinConfig"]

_BENDS = 2


class OpticalTwinConfig(FrozenModel):
    """A twin of the kind `optical` in a recipe.

    Attributes:
        macropixels: Rows and columns of the panel's macropixels.
        outputs: Rows and columns of the bins.
        seed: The medium's design: the same seed as a simulated medium's gives the same matrix; `null` for an unknown
            medium, which starts from small random numbers and must be fitted.
        brightness: Mean reading at the start, as a fraction of full scale.
        learned: What fitting may change.
        detection: `intensity` up to full scale, or the probability of `clicks` of single-photon detectors, whose mean
            number of photons is the light.
    """

    kind: Literal["optical"] = "optical"
    macropixels: tuple[int, int]
    outputs: tuple[int, int]
    seed: int | None = None
    brightness: float = Field(default=0.2, gt=0)
    learned: tuple[Literal["matrix", "flatness", "response", "brightness"], ...] = (
        "matrix",
        "flatness",
        "response",
        "brightness",
    )
    detection: Literal["intensity", "clicks"] = "intensity"


class OpticalTwin(StagedTwin):
    """Phase response, transmission matrix, intensity: `y = b |T exp(i φ(s))|²`, saturating at full scale.

    The phase is `2π s` plus a learned flatness of each macropixel and a learned bend of the response
    (`pnnlab.physics.PhaseModulator`); the medium is one learned complex matrix (`TransmissionMatrix`; Popoff et al.
    2010, Phys. Rev. Lett. 104, 100601). The overall brightness belongs to `b`. The state is the field on the camera.

    Args:
        config: Design and what is learned.
        interface: The system's shapes; one drive of macropixel phases in turns.
        dtype: Floating type.
    """

    def __init__(self, config: OpticalTwinConfig, interface: Interface, *, dtype: torch.dtype = torch.float32) -> None:
        super().__init__(interface)
        grid, outputs = config.macropixels, config.outputs
        if interface.drive_shapes != ((math.prod(grid),),) or interface.n_out != math.prod(outputs):
            raise TwinError(
                f"OpticalTwin: {grid} macropixels and {outputs} outputs are asked for, the system has "
                f"{interface.drive_shapes} drives and {interface.output_shape} outputs; correct `twin` in the recipe"
            )
        self.grid = grid
        kind = torch.complex128 if dtype is torch.float64 else torch.complex64
        # a fixed generator for an unknown medium, too: the start is a choice of the recipe, not of chance
        generator = torch.Generator().manual_seed(0 if config.seed is None else config.seed)
        design = TransmissionMatrix.random(grid, outputs, generator=generator, dtype=kind)
        matrix = design.matrix if config.seed is not None else 0.1 * design.matrix
        learned, self.detection = config.learned, config.detection
        self.panel = PhaseModulator(
            grid,
            response_rad=nn.Parameter(torch.zeros(_BENDS, dtype=dtype), requires_grad="response" in learned),
            flatness_rad=nn.Parameter(torch.zeros(grid, dtype=dtype), requires_grad="flatness" in learned),
        )
        self.medium = TransmissionMatrix(
            nn.Parameter(matrix, requires_grad="matrix" in learned), in_shape=grid, out_shape=outputs
        )
        start = torch.tensor(config.brightness, dtype=dtype).log()
        self.log_brightness = nn.Parameter(start, requires_grad="brightness" in learned)

    def advance(self, stage: int, state: Tensor | None, *drive: Tensor) -> Tensor:
        """See `DigitalTwin.advance`; the drive is the macropixels' phase in turns."""
        (turns,) = drive
        field = self.panel((turns % 1).unflatten(-1, self.grid))
        light: Tensor = self.medium(field).flatten(-2) * (0.5 * self.log_brightness).exp()
        return light

    def reading(self, stage: int, state: Tensor) -> Tensor:
        """See `DigitalTwin.reading`."""
        light = intensity(state)
        return click_probability(light) if self.detection == "clicks" else light.clamp(max=1)

    def anchored(self, stage: int, state: Tensor, reading: Tensor) -> Tensor:
        """See `DigitalTwin.anchored`: the amplitude is that of the reading, the phase the twin's."""
        if self.detection == "clicks":
            # single clicks tell nothing of an amplitude
            return state
        return reading.clamp(min=0).sqrt() * state.sgn()
