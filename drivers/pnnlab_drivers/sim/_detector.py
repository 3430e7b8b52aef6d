"""The counts that a sensor makes of light."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pnnlab.physics import click_probability

__all__ = ["Detector", "draw_electrons"]

FAINT_ELECTRONS: Final = 20.0
"""Below this mean electrons are drawn from the Poisson distribution itself."""
_CHUNK: Final = 2**15
"""Pixels that are computed at once: their numbers stay in the cache."""


@dataclass(frozen=True)
class Detector:
    """The linear camera model of EMVA 1288 (release 4.0, section 2).

    Photo-electrons are Poisson with the mean of light and dark signal together, read noise is Gaussian, and counts are
    cut at the top of the bit depth. With one bit, a gain of 1 and no read noise it is a detector of single photons.

    Attributes:
        quantum_efficiency: Electrons per photon.
        gain: Counts per electron.
        offset_counts: Black level.
        dark_electrons_per_s: Dark signal of a pixel.
        read_noise_electrons: Root mean square.
        noise: Scales all noise; 0 switches it off.
        top_counts: The largest count.
        quantised: Whether counts are whole numbers.
    """

    quantum_efficiency: float
    gain: float
    offset_counts: float
    dark_electrons_per_s: float
    read_noise_electrons: float
    noise: float
    top_counts: int
    quantised: bool

    def expected(self, photons: Tensor, exposure_s: float) -> Tensor:
        """Return the counts of mean photons without noise and rounding, differentiably; same shape.

        Of a detector of single photons it is the mean count itself, the probability of a click.
        """
        electrons = photons * self.quantum_efficiency + self.dark_electrons_per_s * exposure_s
        if self.top_counts == 1 and self.quantised and self.noise == 1 and self.gain >= 1:
            return click_probability(electrons)
        return (electrons * self.gain + self.offset_counts).clamp(0, self.top_counts)

    def read(self, photons: Tensor, exposure_s: float, generator: torch.Generator) -> Tensor:
        """Return one reading of mean photons, same shape, type and place."""
        electrons = photons * self.quantum_efficiency
        if self.dark_electrons_per_s:
            electrons += self.dark_electrons_per_s * exposure_s
        if self.noise:
            drawn = draw_electrons(electrons, generator)
            electrons = drawn if self.noise == 1 else electrons.lerp_(drawn, self.noise)
            if self.read_noise_electrons:
                read = torch.empty_like(electrons).normal_(generator=generator)
                electrons = electrons.add_(read, alpha=self.noise * self.read_noise_electrons)
        counts = electrons.mul_(self.gain).add_(self.offset_counts)
        if self.quantised:
            counts.round_()
        return counts.clamp_(0, self.top_counts)

    def read_into(
        self, out: npt.NDArray[np.number], photons: Tensor, exposure_s: float, generator: torch.Generator
    ) -> None:
        """Fill a C-contiguous array with one reading of mean photons of its shape."""
        flat = out.reshape(-1)
        light = photons.reshape(-1)
        chunk = _CHUNK if light.device.type == "cpu" else len(light)
        for k in range(0, len(light), max(chunk, 1)):
            part = slice(k, k + chunk)
            counts = self.read(light[part], exposure_s, generator).cpu().numpy()
            np.copyto(flat[part], counts, casting="unsafe")


def draw_electrons(mean: Tensor, generator: torch.Generator) -> Tensor:
    """Return Poisson numbers of a mean, same shape, type and place.

    On a CPU means above 20 are drawn as `round(m + sqrt(m - 5/36) z + (z² - 1)/6)` with a normal z: the normal
    approximation with the first correction for skewness (Cornish and Fisher, Rev. Inst. Int. Stat. 5, 307, 1938), and
    the variance of that correction and of the rounding, 1/18 + 1/12, taken off the first term. Mean and variance are
    then those of the Poisson distribution to 1e-8; its cumulative probabilities are met to 5e-4 at a mean of 20,
    2e-4 at 50 and 8e-6 at 1000. A Poisson generator takes ten times as long.
    """
    if mean.device.type != "cpu":
        return torch.poisson(mean, generator=generator)
    z = torch.empty_like(mean).normal_(generator=generator)
    spread = (mean - 5 / 36).clamp_(min=0).sqrt_()
    # z (z/6 + spread) + m - 1/6
    drawn = spread.add_(z, alpha=1 / 6).mul_(z).add_(mean).sub_(1 / 6).round_()
    faint = mean < FAINT_ELECTRONS
    where = faint.nonzero(as_tuple=True)
    if len(where[0]):
        drawn[where] = torch.poisson(mean[where], generator=generator)
    return drawn
