"""Reservoir, or extreme learning machine: the physics stays as it is, a linear read-out of it is solved for."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn, optim
from torch.utils.hooks import RemovableHandle

from pnnlab.methods._method import LossFunction, MethodOptions, TrainingMethod, physical_layers, set_rule
from pnnlab.methods._setting import Setting
from pnnlab.nn import ForwardRule

__all__ = ["Reservoir", "ReservoirOptions"]

_REGULARISATIONS = torch.logspace(-8, 2, 41, dtype=torch.float64)
"""Tried by generalised cross-validation, relative to the mean power of a feature."""


class ReservoirOptions(MethodOptions):
    """Options of the method `reservoir`.

    Attributes:
        features: What is read out: the outputs of the last physical layer, or of all of them.
        ridge: λ of the ridge regression for each sample, relative to the mean power of a feature, features taken about
            their means; `null` chooses it by generalised cross-validation.
        solve: `exact` solves for the read-out of all shots so far; `online` follows by recursive least squares, which
            forgets and so follows a drift.
        forgetting: With `online`: weight of a sample relative to that of the next one.
    """

    features: Literal["last", "all"] = "last"
    ridge: float | None = Field(default=None, gt=0)
    solve: Literal["exact", "online"] = "exact"
    forgetting: float = Field(default=1.0, gt=0, le=1)


class Reservoir(TrainingMethod):
    """Readings z of the untrained physics, and a digital read-out `W = Y Zᵀ (Z Zᵀ + λ I)⁻¹` of them.

    The baseline of every paper on trained physics (extreme learning machines: Huang et al. 2006, Neurocomputing 70,
    489; photonic ones: Tegin et al. 2021, Nat. Comput. Sci. 1, 542). Not one control changes. The normal equations are
    summed up shot by shot in double precision, so one epoch is all that it takes; more epochs average read noise. λ is
    that of least generalised cross-validation (Golub, Heath & Wahba 1979, Technometrics 21, 215), which needs no sample
    held out.
    """

    name: ClassVar[str] = "reservoir"
    summary: ClassVar[str] = "fixed physics, ridge-regression read-out (extreme learning machine; Huang et al. 2006)"
    needs_twin: ClassVar[bool] = False
    Options: ClassVar[type[MethodOptions]] = ReservoirOptions
    options: ReservoirOptions

    def prepare(self, model: nn.Module, setting: Setting) -> None:
        """See `TrainingMethod.prepare`."""
        set_rule(model, ForwardRule.MEASURED)
        layers = physical_layers(model)
        self._read = layers if self.options.features == "all" else layers[-1:]
        n, self._n_classes = sum(layer.system.n_out for layer in self._read), setting.n_classes
        self._sums = {
            "count": torch.zeros(1, dtype=torch.float64), "z": torch.zeros(n, dtype=torch.float64),
            "zz": torch.zeros(n, n, dtype=torch.float64), "zy": torch.zeros(n, setting.n_classes, dtype=torch.float64),
            "y": torch.zeros(setting.n_classes, dtype=torch.float64),
        }  # fmt: skip
        self._weights = torch.zeros(n + 1, setting.n_classes, dtype=torch.float64)
        self._inverse: Tensor | None = None

    def step(
        self, model: nn.Module, x: Tensor, target: Tensor, loss: LossFunction, optimiser: optim.Optimizer
    ) -> dict[str, float]:
        """See `TrainingMethod.step`; the loss is that before the batch was learned."""
        z = self._features(model, x)
        value = float(loss(self._logits(z), target))
        y = nn.functional.one_hot(target, self._n_classes).double()
        if self.options.solve == "online":
            self._follow(z, y)
        else:
            self._add(z, y)
            self._weights = self._solved()
        return {"loss": value}

    def predict(self, model: nn.Module, x: Tensor) -> Tensor:
        """See `TrainingMethod.predict`."""
        return self._logits(self._features(model, x)).to(x.dtype)

    def state(self) -> dict[str, Any]:
        """See `TrainingMethod.state`."""
        return {**self._sums, "weights": self._weights, "inverse": self._inverse}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `TrainingMethod.load_state`."""
        self._sums = {name: state[name] for name in self._sums}
        self._weights, self._inverse = state["weights"], state["inverse"]

    @torch.no_grad()
    def _features(self, model: nn.Module, x: Tensor) -> Tensor:
        """Return readings of a batch, shape `(batch, n_features)`, in double precision."""
        found: list[list[Tensor]] = [[] for _ in self._read]
        hooks: list[RemovableHandle] = []
        for readings, layer in zip(found, self._read, strict=True):

            def keep(_: nn.Module, __: tuple[Tensor, ...], y: Tensor, readings: list[Tensor] = readings) -> None:
                readings.append(y.detach().double())

            hooks.append(layer.register_forward_hook(keep))
        try:
            model(x)
        finally:
            for hook in hooks:
                hook.remove()
        # a layer that a network calls several times a sample gives as many readings; the last ones count
        return torch.cat([readings[-1].reshape(len(x), -1) for readings in found], 1)

    def _logits(self, z: Tensor) -> Tensor:
        return z @ self._weights[:-1] + self._weights[-1]

    def _add(self, z: Tensor, y: Tensor) -> None:
        for name, part in {
            "count": torch.tensor([float(len(z))]).double(), "z": z.sum(0), "zz": z.T @ z, "zy": z.T @ y, "y": y.sum(0),
        }.items():  # fmt: skip
            self._sums[name] = self._sums[name] + part

    def _solved(self) -> Tensor:
        """Return the read-out of least squares with ridge of all samples so far, the constants last."""
        count, sums = float(self._sums["count"]), self._sums
        mean_z, mean_y = sums["z"] / count, sums["y"] / count
        gram = sums["zz"] / count - mean_z[:, None] * mean_z
        cross = sums["zy"] / count - mean_z[:, None] * mean_y
        # of each sample exactly one target is 1, so the mean of the squares is the mean
        power_y = float((mean_y - mean_y.square()).sum())
        eigen, vectors = torch.linalg.eigh(gram)
        eigen = eigen.clamp_min(0)
        scale = float(gram.diagonal().mean())
        if scale <= 0:
            return torch.cat([torch.zeros_like(cross), mean_y[None]])
        turned = vectors.T @ cross
        ridge = self.options.ridge
        if ridge is None:
            scores = [_cross_validation(eigen, turned, power_y, count, float(r) * scale) for r in _REGULARISATIONS]
            ridge = float(_REGULARISATIONS[int(torch.tensor(scores).argmin())])
        weights = vectors @ (turned / (eigen + ridge * scale)[:, None])
        return torch.cat([weights, (mean_y - mean_z @ weights)[None]])

    def _follow(self, z: Tensor, y: Tensor) -> None:
        """Learn a batch sample by sample: recursive least squares."""
        features = torch.cat([z, torch.ones(len(z), 1, dtype=torch.float64)], 1)
        if self._inverse is None:
            power = float(z.square().mean())
            ridge = 1e-3 if self.options.ridge is None else self.options.ridge
            self._inverse = torch.eye(features.shape[1], dtype=torch.float64) / max(ridge * power, 1e-12)
        inverse, weights, keep = self._inverse, self._weights, self.options.forgetting
        for feature, wanted in zip(features, y, strict=True):
            projected = inverse @ feature
            gain = projected / (keep + feature @ projected)
            weights = weights + gain[:, None] * (wanted - feature @ weights)
            inverse = (inverse - gain[:, None] * projected) / keep
        self._inverse, self._weights = inverse, weights


def _cross_validation(eigen: Tensor, turned: Tensor, power: float, count: float, ridge: float) -> float:
    """Return the generalised cross-validation error of a ridge.

    Args:
        eigen: Eigenvalues of the features' covariance, shape `(n,)`.
        turned: Covariance of features and targets in its eigenvectors, shape `(n, n_classes)`.
        power: Variance of the targets, all classes together.
        count: Number of samples.
        ridge: λ for each sample.
    """
    shrunk = turned.square().sum(1) / (eigen + ridge)
    residual = power - float((shrunk * (1 + ridge / (eigen + ridge))).sum())
    # the constant takes one more degree of freedom
    freedom = 1 - (float((eigen / (eigen + ridge)).sum()) + 1) / count
    return max(residual, 0.0) / freedom**2 if freedom > 1e-6 else torch.inf
