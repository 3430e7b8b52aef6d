"""Neurons that integrate what they receive, leak, and fire."""

from typing import Any

import torch
from torch import Tensor, nn

from pnnlab.physics._quantity import QuantityLike, register_quantity

__all__ = ["LeakyIntegrateFire"]


class LeakyIntegrateFire(nn.Module):
    """Leaky integrate-and-fire neurons in time steps, with a surrogate gradient of their spikes.

    `v_t = β v_{t-1} + I_t - ϑ s_{t-1}`, `s_t = 1` where `v_t ≥ ϑ`, else 0, from rest (Gerstner et al. 2014, Neuronal
    Dynamics, section 1.3; reset by subtraction). Backwards `∂s/∂v = 1 / (1 + b |v - ϑ|)²` (SuperSpike: Zenke & Ganguli
    2018, Neural Comput. 30, 1514), and the reset is left out, as is usual.

    Args:
        n_neurons: Neurons, n.
        decay: β, a number or shape `(n,)`; exp(-step / membrane time constant).
        threshold: ϑ, a number or shape `(n,)`.
        steepness: b.

    Both quantities are buffers, or learned if they are an `nn.Parameter`.
    """

    decay: Tensor
    threshold: Tensor

    def __init__(
        self, n_neurons: int, *, decay: QuantityLike = 0.9, threshold: QuantityLike = 1.0, steepness: float = 5.0
    ) -> None:
        super().__init__()
        self.n_neurons, self.steepness = n_neurons, steepness
        register_quantity(self, "decay", decay, shape=(n_neurons,))
        register_quantity(self, "threshold", threshold, shape=(n_neurons,))

    def forward(self, current: Tensor) -> tuple[Tensor, Tensor]:
        """Return spikes, 0 or 1, and membrane voltages before reset, both shape `(batch, steps, n)`.

        Args:
            current: I, shape `(batch, steps, n)`.
        """
        v, s = torch.zeros_like(current[:, 0]), torch.zeros_like(current[:, 0])
        spikes, membrane = [], []
        for received in current.unbind(1):
            v = self.decay * v + received - self.threshold * s.detach()
            s = self._fired(v)
            spikes.append(s)
            membrane.append(v)
        return torch.stack(spikes, 1), torch.stack(membrane, 1)

    def replay(self, current: Tensor, spikes: Tensor, membrane: Tensor) -> tuple[Tensor, Tensor]:
        """Return recorded spikes and voltages, with the gradient that these neurons have at what was recorded.

        Args:
            current: As in `forward`; its values do not matter, its gradient does.
            spikes: As they were recorded, shape `(batch, steps, n)`.
            membrane: Voltages before reset as they were recorded, same shape.
        """
        v, replayed, voltages = torch.zeros_like(current[:, 0]), [], []
        for received, s, recorded in zip(current.unbind(1), spikes.unbind(1), membrane.unbind(1), strict=True):
            v = self.decay * v + received
            # the recorded value with the gradient of the leaky sum
            v = recorded.detach() + (v - v.detach())
            replayed.append(s.detach() + (fired := self._fired(v)) - fired.detach())
            voltages.append(v)
        return torch.stack(replayed, 1), torch.stack(voltages, 1)

    def _fired(self, v: Tensor) -> Tensor:
        fired: Tensor = _Spike.apply(v - self.threshold, self.steepness)  # type: ignore[no-untyped-call]
        return fired


class _Spike(torch.autograd.Function):
    """1 from 0 on, else 0; its derivative is the surrogate's."""

    @staticmethod
    def forward(ctx: Any, above: Tensor, steepness: float) -> Tensor:
        ctx.save_for_backward(above)
        ctx.save_for_forward(above)
        ctx.steepness = steepness
        return (above >= 0).to(above.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (above,) = ctx.saved_tensors
        return grads[0] / (1 + ctx.steepness * above.abs()).square(), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        (above,) = ctx.saved_tensors
        change: Tensor = tangents[0] / (1 + ctx.steepness * above.abs()).square()
        return change
