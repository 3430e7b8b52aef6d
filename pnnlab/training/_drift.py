"""Whether the bench has moved since training began, and what is done about it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pnnlab.errors import RunError
from pnnlab.methods import physical_layers
from pnnlab.nn import PhysicalLayer, RecentShots, measure_shots
from pnnlab.quantities import FrozenModel
from pnnlab.training._watch import Tell
from pnnlab.twins import DigitalTwin, FitConfig, FitReport, ShotSet, fit, predict

__all__ = ["DriftWatch", "DriftWatchConfig"]


class RefreshConfig(FitConfig):
    """How a twin is refreshed: a short fit from where it stands, to the last shots that training took.

    Attributes:
        keep: Shots of each system that are kept for it.
    """

    epochs: int = Field(default=8, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    keep: int = Field(default=4096, gt=0)


class DriftWatchConfig(FrozenModel):
    """The key `drift` of a recipe: reference shots every so often, and what follows where the bench has moved.

    Attributes:
        every: Steps between two looks.
        samples: Reference shots of each system.
        limit: Change of the reference readings that counts as moved: its root mean square, without the noise, in units
            of the readings' own spread over the samples.
        action: `tell` logs and warns once, `stop` ends training with an error (the checkpoint is kept), `refresh` fits
            the twins anew to the shots that training took last.
        refresh: How twins are refreshed.
    """

    every: int = Field(default=50, gt=0)
    samples: int = Field(default=32, ge=2)
    limit: float = Field(default=0.15, gt=0)
    action: Literal["tell", "stop", "refresh"] = "tell"
    refresh: RefreshConfig = RefreshConfig()


@dataclass(frozen=True)
class _Reference:
    """Reference shots of a system: what is applied, and what came back at first.

    Attributes:
        x: Inputs, shape `(samples, n_in)`.
        raw: Raw controls, shape `(n_controls,)`; `None` where the present ones are taken, because setting others would
            wear the device.
        y: Mean of two takes, shape `(samples, n_out)`.
        noise: Variance of one take's noise.
        twin_error: Of the twin at the first take, as `_error` tells it.
    """

    x: Tensor
    raw: Tensor | None
    y: Tensor
    noise: float
    twin_error: float


class DriftWatch:
    """Measures the same reference shots again and again: inputs and controls of the beginning of training.

    Logged are `drift_SYSTEM`, the change since the beginning, and `twin_error_SYSTEM`, the root mean square error of
    the twin on these shots, both in units of the readings' spread. Where all shots of a batch share their controls
    (setting others would wear a crossbar), the present controls are taken, and the growth of the twin's error counts.

    Args:
        model: That is trained.
        x: Training inputs; the first of them make the reference shots.
        config: How.
        tell: Told once when the bench has moved, and of every refresh.

    Raises:
        RunError: Twins are to be refreshed, and one has nothing to learn.
    """

    def __init__(self, model: nn.Module, x: Tensor, config: DriftWatchConfig, tell: Tell) -> None:
        self.every = config.every
        self._model, self._x, self._config, self._tell = model, x[: config.samples], config, tell
        self._layers = {layer.system.name: layer for layer in reversed(physical_layers(model))}
        self._references: dict[str, _Reference] = {}
        self._told = False
        self._recent: RecentShots | None = None
        if config.action == "refresh":
            fixed = [name for name, layer in self._layers.items() if not list(_twin(layer).parameters())]
            if fixed:
                raise RunError(
                    f"drift.action is `refresh`, but the twin of {', '.join(fixed)} has nothing to learn; choose a "
                    "twin that learns (kind mlp or residual), or `stop`"
                )
            self._recent = RecentShots(model, config.refresh.keep)

    def begin(self) -> None:
        """See `Watch.begin`."""
        inputs = self._visited()
        for name, layer in self._layers.items():
            raw = None if layer.system.shares_controls else layer.raw_controls.detach().clone()
            first, second = (measure_shots(layer, inputs[name], raw) for _ in range(2))
            mean = (first.y + second.y) / 2
            noise = float((first.y - second.y).square().mean() / 2)
            self._references[name] = _Reference(inputs[name], raw, mean, noise, _error(layer.twin, first))

    def look(self, step: int) -> dict[str, float]:
        """See `Watch.look`.

        Raises:
            RunError: The bench has moved, and training is to stop then.
        """
        metrics, moved = {}, {}
        for name, layer in self._layers.items():
            reference = self._references[name]
            shots = measure_shots(layer, reference.x, reference.raw)
            error = _error(layer.twin, shots)
            drift = max(error - reference.twin_error, 0.0) if reference.raw is None else _change(reference, shots.y)
            metrics[f"drift_{name}"], metrics[f"twin_error_{name}"] = drift, error
            if drift > self._config.limit:
                moved[name] = drift
        if moved:
            self._act(step, moved)
        return metrics

    def state(self) -> dict[str, Any]:
        """See `Watch.state`; twins that are refreshed belong to it."""
        references = {
            name: {"x": r.x, "raw": r.raw, "y": r.y, "noise": r.noise, "twin_error": r.twin_error}
            for name, r in self._references.items()
        }
        state: dict[str, Any] = {"references": references, "told": self._told}
        if self._recent is not None:
            state["recent"] = self._recent.state()
            state["twins"] = {name: _twin(layer).state_dict() for name, layer in self._layers.items()}
        return state

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `Watch.load_state`."""
        self._references = {name: _Reference(**reference) for name, reference in state["references"].items()}
        self._told = bool(state["told"])
        if self._recent is not None:
            self._recent.load_state(state["recent"])
            for name, twin in state["twins"].items():
                _twin(self._layers[name]).load_state_dict(twin)

    def _visited(self) -> dict[str, Tensor]:
        """Return what each system's first layer is given when the reference samples walk through the network."""
        inputs: dict[str, Tensor] = {}

        def keep(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
            assert isinstance(layer, PhysicalLayer)  # noqa: S101 (hooked below)
            inputs[layer.system.name] = args[0].detach()

        hooks = [layer.register_forward_pre_hook(keep) for layer in self._layers.values()]
        try:
            with torch.no_grad():
                self._model(self._x)
        finally:
            for hook in hooks:
                hook.remove()
        return inputs

    def _act(self, step: int, moved: Mapping[str, float]) -> None:
        limit = self._config.limit
        told = ", ".join(f"{name} by {drift:.2f} of its readings' spread" for name, drift in moved.items())
        text = f"the bench has moved since training began, found after step {step}: {told} (allowed is {limit:g})"
        if self._config.action == "stop":
            raise RunError(
                f"{text}; realign it and resume this run, or fit the twins again in a new one; "
                "`drift: {action: refresh}` would follow the bench"
            )
        if self._config.action == "refresh" and self._recent is not None:
            recent = self._recent.shots()
            for name in moved:
                report = self._refresh(_twin(self._layers[name]), recent[name])
                self._tell(f"{text}; twin of {name} refreshed: {report}")
            self.begin()
        elif not self._told:
            self._told = True
            self._tell(f"{text}; the twins are those of the beginning")

    def _refresh(self, twin: DigitalTwin, shots: ShotSet) -> FitReport:
        with twin.learning():
            return fit(twin, shots, self._config.refresh, anew=False)


def _twin(layer: PhysicalLayer) -> DigitalTwin:
    return layer.needed_twin()


def _change(reference: _Reference, y: Tensor) -> float:
    """Return the root mean square change of readings without the noise of both takes, in units of their spread."""
    change = float((y - reference.y).square().mean()) - 1.5 * reference.noise
    return math.sqrt(max(change, 0.0)) / float(reference.y.std(0).square().mean().sqrt())


def _error(twin: DigitalTwin | None, shots: ShotSet) -> float:
    """Return the twin's root mean square error in units of the readings' spread; 0 where there is no twin."""
    if twin is None:
        return 0.0
    with torch.no_grad():
        error = (predict(twin, shots) - shots.y).square().mean().sqrt()
    return float(error / shots.y.std(0).square().mean().sqrt())
