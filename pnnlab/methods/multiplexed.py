"""Multiplexed gradient descent: every control wobbles by a code of its own, and finds its code in the loss."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.methods._estimate import EstimatedGradient, EstimateOptions, Measure
from pnnlab.methods._method import MethodOptions
from pnnlab.methods._setting import Setting

__all__ = ["Multiplexed", "MultiplexedOptions", "code_period", "codes"]

Code = Literal["sequential", "random", "walsh", "sinusoidal"]


class MultiplexedOptions(EstimateOptions):
    """Options of the method `multiplexed`; see `EstimateOptions` for the others.

    Attributes:
        code: How controls wobble. `sequential`: one after the other, which is finite differences; `random`: signs drawn
            anew for each perturbation, which is simultaneous perturbation; `walsh`: signs orthogonal over a period, of
            2 to 4 perturbations a control; `sinusoidal`: frequencies of their own, 4 perturbations a control.
        window: Perturbations on one batch (τ_x of the paper, in τ_p); one more loss is the unperturbed one. `null`
            takes a whole period of the code, or 16 where it is random.
        windows: Batches over which gradients are collected before controls move (τ_θ of the paper in τ_x).
        highpass: Time constant of the high-pass filter of the loss, in perturbations; `null` subtracts the batch's
            unperturbed loss instead.
    """

    code: Code = "walsh"
    window: int | None = Field(default=16, gt=0)
    windows: int = Field(default=1, gt=0)
    highpass: float | None = Field(default=None, gt=0)


class Multiplexed(EstimatedGradient):
    """Multiplexed gradient descent, MGD (McCaughan et al. 2023, APL Mach. Learn. 1, 026118).

    θ + p(t) with a small code p_i(t) for each control; each control multiplies the modulation C~ of the loss by its own
    code and sums up: `G_i = Σ C~ p_i / Σ p_i²`, and steps down G once in a while. On an instrument that is a lock-in at
    every control; here the host does it. A whole period of Walsh or sinusoidal codes gives the exact gradient of a
    quadratic loss without noise, because codes are orthogonal and odd: each comes with its negative, next to it in
    time, so that curvature and slow drift cancel as well. A period needs 2 to 4 losses for each control; shorter
    windows go on through it, batch after batch.
    """

    name: ClassVar[str] = "multiplexed"
    summary: ClassVar[str] = "each control wobbles by its own code (MGD; McCaughan et al., APL Mach. Learn. 1, 2023)"
    Options: ClassVar[type[MethodOptions]] = MultiplexedOptions
    options: MultiplexedOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        super().prepare(model, setting)
        self._time, self._collected = 0, 0
        self._sum = torch.zeros(self.controls.n, dtype=torch.float64)
        self._power = torch.zeros_like(self._sum)

    def estimate(self, measure: Measure) -> tuple[float, Tensor | None]:
        """See `EstimatedGradient.estimate`."""
        z, c = self.controls.read(), self.perturbation
        if self.options.code == "random":
            code = self.signs(self.options.window or 16)
        else:
            count = self.options.window or code_period(self.options.code, len(z))
            code = codes(self.options.code, len(z), torch.arange(self._time, self._time + count))
        self._time += len(code)
        losses = measure(torch.cat([z[None], z + c * code.to(z.dtype)]))
        code = code.double() * c
        self._sum += self._modulation(losses) @ code
        self._power += code.square().sum(0)
        self._collected += 1
        if self._collected < self.options.windows:
            return float(losses.mean()), None
        gradient = torch.where(self._power > 0, self._sum / self._power.clamp_min(1e-300), 0.0)
        self._collected, self._sum, self._power = 0, torch.zeros_like(self._sum), torch.zeros_like(self._sum)
        return float(losses.mean()), gradient

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        own = {"time": self._time, "collected": self._collected, "sum": self._sum, "power": self._power}
        return {**super().state(), **own}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        super().load_state(state)
        self._time, self._collected = int(state["time"]), int(state["collected"])
        self._sum, self._power = state["sum"], state["power"]

    def _modulation(self, losses: Tensor) -> Tensor:
        """Return what is left of the losses of a window when their slow part is gone; the first is unperturbed."""
        if self.options.highpass is None:
            return losses[1:] - losses[0]
        keep = self.options.highpass / (self.options.highpass + 1)
        passed = [losses.new_zeros(())]
        for change in losses.diff():
            passed.append(keep * (passed[-1] + change))
        return torch.stack(passed[1:])


def code_period(code: Code, n: int) -> int:
    """Return after how many perturbations the codes of `n` controls repeat."""
    if code == "walsh":
        return 2 * _power_of_two_above(n)
    return {"sequential": n, "random": 1, "sinusoidal": 4 * n}[code]


def codes(code: Code, n: int, times: Tensor) -> Tensor:
    """Return the codes of `n` controls at some times, shape `(len(times), n)`; of unit mean square but `sequential`.

    Walsh functions of index M + i + 1 over a period of 2 M, with M a power of two above `n`: all change sign with the
    bit M of the time, so products of three are never constant, and curvature does not count. Sinusoids of the odd
    frequencies 2 i + 1 over a period of 4 n have the same property. The time runs such that each moment is followed by
    the one half a period later, at which every code has the opposite sign; so a drift by as much from each perturbation
    to the next leaves no trace in Walsh codes, and little in sinusoids.
    """
    period = code_period(code, n)
    times = times % period
    if code == "sequential":
        return nn.functional.one_hot(times, n).double()
    moments = (times // 2 + (times % 2) * (period // 2))[:, None]
    numbers = torch.arange(n)
    if code == "walsh":
        common = moments & (numbers + 1 + period // 2)
        parity = torch.zeros_like(common)
        while common.any():
            parity ^= common & 1
            common = common >> 1
        return 1.0 - 2.0 * parity.double()
    return 2**0.5 * torch.sin((2 * numbers + 1) * moments.double() * (2 * torch.pi / period))


def _power_of_two_above(n: int) -> int:
    return 1 << n.bit_length()
