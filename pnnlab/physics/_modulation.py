"""Modulation of light by a liquid-crystal panel."""

import math

import torch
from torch import Tensor, nn

from pnnlab.physics._quantity import Derived, QuantityLike, register_quantity

# The Gaussian of the crosstalk is cut at this many standard deviations, where it has fallen to 4e-6.
_KERNEL_REACH_SIGMAS = 5.0


class PhaseModulator(nn.Module):
    """Phase-only spatial light modulator with the errors of a real panel.

    `forward(s)` is `field(phase(s))`. The two steps are separate because the phase is what relaxes in time in the
    liquid crystal: a panel that moves follows its target `phase(s)` slowly, and light sees `field` of where it is.

    **Phase** of pixel `(i, j)` at drive `s`, in rad:
    `2 pi stroke s + response_gain sum_k response_rad[k] sin((k + 1) pi s) + flatness_rad`. The sine series is the
    deviation of the response from a straight line; it vanishes at both ends, so that it stays independent of the
    stroke. Dead pixels hold `dead_phase_rad` whatever the drive.

    **Field**, in the unit of `amplitude`: `amplitude ((1 - unmodulated) exp(i phi) + unmodulated)`, `phi` being
    the phase after crosstalk. Fringing fields and elastic forces smooth the phase across pixel borders
    (Persson et al. 2012, Opt. Express 20, 22334); this is modelled as a Gaussian average of the unwrapped phase,
    with mirrored edges, so that the fly-back of a wrapped grating is rounded as on the panel. `unmodulated` is the
    share of each pixel's area that reflects without modulation (the gaps), hence a share of amplitude; it makes
    the zero order.

    Every quantity given as `nn.Parameter` is trained. Results have the floating type of the input.

    Args:
        shape: Pixels of the panel, `(h, w)`.
        stroke: Phase at full scale in turns of 2 pi, shape `()` or `(h, w)`.
        response_rad: Coefficients of the sine series, shape `(n_terms,)`; empty for a straight line.
        response_gain: Local strength of the deviation, dimensionless, shape `()` or `(h, w)`.
        flatness_rad: Phase error of the unaddressed panel, shape `()` or `(h, w)`. It passes through the crosstalk
            too, which leaves maps that are smooth on the scale of pixels as they are.
        dead: True where a pixel does not respond, boolean, shape `(h, w)`; `None` for a perfect panel.
        dead_phase_rad: Phase of dead pixels, shape `()` or `(h, w)`.
        crosstalk_px: Standard deviation of the Gaussian in pixels; 0 for no crosstalk. One that is trained must
            start above 0, where its gradient vanishes.
        amplitude: Illumination, shape `()` or `(h, w)`, in square root of intensity.
        unmodulated: Unmodulated share of a pixel, in [0, 1], shape `()` or `(h, w)`.
    """

    stroke: Tensor
    response_rad: Tensor
    response_gain: Tensor
    flatness_rad: Tensor
    dead: Tensor | None
    dead_phase_rad: Tensor
    crosstalk_px: Tensor
    amplitude: Tensor
    unmodulated: Tensor

    def __init__(
        self,
        shape: tuple[int, int],
        *,
        stroke: QuantityLike = 1.0,
        response_rad: QuantityLike = (),
        response_gain: QuantityLike = 1.0,
        flatness_rad: QuantityLike = 0.0,
        dead: Tensor | None = None,
        dead_phase_rad: QuantityLike = 0.0,
        crosstalk_px: QuantityLike = 0.0,
        amplitude: QuantityLike = 1.0,
        unmodulated: QuantityLike = 0.0,
    ) -> None:
        super().__init__()
        self.shape = (shape[0], shape[1])
        # Numbers are kept exact, whatever the default type, because each call converts to the type of its input.
        exact = torch.float64
        register_quantity(self, "stroke", stroke, shape=shape, dtype=exact)
        register_quantity(self, "response_rad", response_rad, dtype=exact)
        register_quantity(self, "response_gain", response_gain, shape=shape, dtype=exact)
        register_quantity(self, "flatness_rad", flatness_rad, shape=shape, dtype=exact)
        register_quantity(self, "dead_phase_rad", dead_phase_rad, shape=shape, dtype=exact)
        register_quantity(self, "crosstalk_px", crosstalk_px, shape=(), dtype=exact)
        register_quantity(self, "amplitude", amplitude, shape=shape, dtype=exact)
        register_quantity(self, "unmodulated", unmodulated, shape=shape, dtype=exact)
        self.register_buffer("dead", dead)
        self._check(dead)
        self._taps = Derived[Tensor | None]()
        self._lit_evenly = Derived[bool]()

    def forward(self, s: Tensor) -> Tensor:
        """Return the settled field behind the panel; see `phase` and `field`."""
        return self.field(self.phase(s))

    def phase(self, s: Tensor) -> Tensor:
        """Return the phase that the panel settles to.

        Args:
            s: Drive as a fraction of full scale, grey level over number of levels, in [0, 1),
                shape `(..., h, w)`. The range is the device's to check; here it is extrapolated.

        Returns:
            Phase in rad, unwrapped, before crosstalk, shape `(..., h, w)`.

        Raises:
            ValueError: If the drive has another grid.
        """
        self._check_grid("drive", s)
        # Maps of the panel are put together first: they are smaller than a batch of drives.
        phase = torch.addcmul(self.flatness_rad.to(s.dtype), 2.0 * math.pi * self.stroke.to(s.dtype), s)
        gain, coefficients = self.response_gain.to(s.dtype), self.response_rad.to(s.dtype)
        for k in range(len(coefficients)):
            phase = torch.addcmul(phase, gain * coefficients[k], ((k + 1) * math.pi * s).sin())
        if self.dead is None:
            return phase
        return torch.where(self.dead, self.dead_phase_rad.to(s.dtype), phase)

    def field(self, phase: Tensor) -> Tensor:
        """Return the field behind a panel whose liquid crystal has this phase.

        Args:
            phase: Phase in rad, before crosstalk, shape `(..., h, w)`.

        Returns:
            Complex amplitude in the unit of `amplitude`, shape `(..., h, w)`.

        Raises:
            ValueError: If the phase has another grid.
        """
        self._check_grid("phase", phase)
        taps = self._taps.of((self.crosstalk_px,), None, self._compute_taps)
        if taps is not None:
            taps = taps.to(phase.dtype)
            phase = _average(_average(phase, taps, -2), taps, -1)
        if self._is_lit_evenly():
            return torch.complex(phase.cos(), phase.sin())
        amplitude, unmodulated = self.amplitude.to(phase.dtype), self.unmodulated.to(phase.dtype)
        modulated = amplitude * (1.0 - unmodulated)
        in_phase = torch.addcmul(amplitude * unmodulated, modulated, phase.cos())
        return torch.complex(in_phase, modulated * phase.sin())

    def extra_repr(self) -> str:
        """Return the grid for `repr`."""
        return f"shape={self.shape}"

    def _check(self, dead: Tensor | None) -> None:
        if self.response_rad.dim() != 1:
            found = tuple(self.response_rad.shape)
            raise ValueError(f"PhaseModulator: response_rad has shape {found}, expected (n_terms,)")
        if dead is not None and (dead.dtype != torch.bool or tuple(dead.shape) != self.shape):
            raise ValueError(
                f"PhaseModulator: dead is {dead.dtype} of shape {tuple(dead.shape)}, expected torch.bool of shape "
                f"{self.shape}"
            )
        sigma = float(self.crosstalk_px.detach())
        if sigma < 0.0 or (sigma == 0.0 and self.crosstalk_px.requires_grad):
            raise ValueError(
                f"PhaseModulator: crosstalk_px is {sigma}, expected at least 0 pixels, or above 0 when it is trained"
            )
        if math.ceil(_KERNEL_REACH_SIGMAS * sigma) > min(self.shape):
            raise ValueError(
                f"PhaseModulator: crosstalk_px is {sigma} on a panel of {self.shape} pixels, expected at most "
                f"{min(self.shape) / _KERNEL_REACH_SIGMAS} pixels, because it reaches past the mirrored edge"
            )

    def _check_grid(self, name: str, x: Tensor) -> None:
        if tuple(x.shape[-2:]) != self.shape:
            h, w = self.shape
            raise ValueError(f"PhaseModulator: {name} has shape {tuple(x.shape)}, expected (..., {h}, {w})")

    def _is_lit_evenly(self) -> bool:
        """Return whether all of every pixel modulates light of amplitude 1, and none of that is trained."""
        quantities = (self.amplitude, self.unmodulated)
        if any(quantity.requires_grad for quantity in quantities):
            return False
        # Kept, because the answer waits for the accelerator.
        return self._lit_evenly.of(
            quantities, None, lambda: bool((self.amplitude == 1).all() & ~self.unmodulated.any())
        )

    def _compute_taps(self) -> Tensor | None:
        sigma = self.crosstalk_px
        reach = min(math.ceil(_KERNEL_REACH_SIGMAS * abs(float(sigma.detach()))), *self.shape)
        if reach == 0:
            return None
        distance = torch.arange(reach + 1, dtype=sigma.dtype, device=sigma.device)
        weights = (-(distance.square()) / (2.0 * sigma.square())).exp()
        return weights / (2.0 * weights.sum() - 1.0)


def _average(x: Tensor, taps: Tensor, dim: int) -> Tensor:
    """Average along one dimension with a symmetric kernel; `taps[i]` is the weight at distance `i`."""
    n, reach = x.shape[dim], len(taps) - 1
    head, tail = x.narrow(dim, 0, reach).flip(dim), x.narrow(dim, n - reach, reach).flip(dim)
    mirrored = torch.cat((head, x, tail), dim)
    # Shifted sums: torch's conv2d on one channel is eight times slower on a CPU.
    mean = taps[0] * x
    for i in range(1, reach + 1):
        mean.addcmul_(taps[i], mirrored.narrow(dim, reach - i, n) + mirrored.narrow(dim, reach + i, n))
    return mean
