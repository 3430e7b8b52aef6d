"""In-the-loop training with measured activations: backward by the mathematical model, slopes taken where they were."""

from typing import ClassVar

from torch import Tensor, nn, optim

from pnnlab.methods._method import LossFunction, TrainingMethod, gradient_step, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule

__all__ = ["MeasuredActivations"]


class MeasuredActivations(TrainingMethod):
    """δ_l = (W_{l+1}ᵀ δ_{l+1}) ∘ σ'(z_l) and ∂L/∂W_l = δ_l a_{l-1}ᵀ, with every activation as it was measured.

    Spall, Guo & Lvovsky 2022, Optica 9, 803 (hybrid training). The twin is the operation that the hardware stands for:
    a matrix and an activation, a complex matrix and a detector. `PhysicsAware` linearises the twin at the measured
    input of a layer, and so takes σ' where the twin, with its own errors, has z; here the twin's states are held at
    what was read (`pnnlab.twins.DigitalTwin.replay`), so σ' is taken at the measured output, and at states inside where
    the system reads them. Behind an intensity the amplitude is the measured one and the phase the twin's. Where a twin
    knows no states, both methods are the same.

    Spiking systems: recorded spikes and membrane voltages are replayed, and the gradient passes spikes by a surrogate
    (Cramer et al. 2022, PNAS 119, e2109194119; `pnnlab.physics.LeakyIntegrateFire`).
    """

    name: ClassVar[str] = "measured_activations"
    summary: ClassVar[str] = "backward by the mathematical model at measured activations (Spall et al., Optica 9, 803)"
    needs_twin: ClassVar[bool] = True

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.REPLAYED)

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`."""
        return gradient_step(model, x, target, loss, optimiser, micro_batch=self.micro_batch)
