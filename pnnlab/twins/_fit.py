"""Learning a twin from shots."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from pnnlab.errors import TwinError
from pnnlab.quantities import FrozenModel
from pnnlab.twins._ensemble import EnsembleTwin
from pnnlab.twins._shots import ShotSet
from pnnlab.twins._stages import stage_by_stage
from pnnlab.twins._twin import DigitalTwin

__all__ = ["FitConfig", "FitReport", "evaluate", "fit", "predict"]


class FitConfig(FrozenModel):
    """How a twin is fitted.

    Attributes:
        epochs: Passes over the shots at most.
        batch: Shots a step.
        learning_rate: Of Adam (Kingma & Ba 2015), falling to zero along a cosine.
        validation: Part of the shots that is held out; the report is about these.
        patience: Epochs without a better held-out error after which fitting stops.
        seed: Of the split and the order of shots.
    """

    epochs: int = Field(default=40, gt=0)
    batch: int = Field(default=64, gt=0)
    learning_rate: float = Field(default=3e-3, gt=0)
    validation: float = Field(default=0.15, gt=0, lt=1)
    patience: int = Field(default=10, gt=0)
    seed: int = 0


@dataclass(frozen=True)
class FitReport:
    """How well a twin predicts shots that it has not seen.

    Attributes:
        rmse: Root mean square error of each output, shape `(n_out,)`.
        r2: Coefficient of determination of each output, shape `(n_out,)`; NaN where an output does not vary.
        r2_total: The same over all outputs together: 1 - residual power / power of the variation about each mean.
        n_train: Shots that were fitted.
        n_validation: Shots that were held out, which the numbers are about.
        history: Held-out mean square error after each epoch, in units of each reading's variance.
        measured: Held-out outputs, shape `(n_validation, n_out)`.
        predicted: The twin's, same shape.
        spread: An ensemble's, same shape: its members' standard deviation; `None` for a single twin.
    """

    rmse: Tensor
    r2: Tensor
    r2_total: float
    n_train: int
    n_validation: int
    history: tuple[float, ...]
    measured: Tensor
    predicted: Tensor
    spread: Tensor | None = None

    @property
    def certainty(self) -> float | None:
        """Return the root mean square of an ensemble's spread over that of its error; 1 where it knows its error."""
        if self.spread is None:
            return None
        error = (self.measured - self.predicted).square().mean().sqrt()
        return float(self.spread.square().mean().sqrt() / error)

    def __str__(self) -> str:
        worst, best = float(self.r2.nan_to_num(1).min()), float(self.r2.nan_to_num(0).max())
        return (
            f"held-out R² {self.r2_total:.4f} (outputs {worst:.3f} to {best:.3f}), RMS error "
            f"{float(self.rmse.square().mean().sqrt()):.4f} of full scale; {self.n_train} shots fitted, "
            f"{self.n_validation} held out, {len(self.history)} epochs"
            + ("" if self.certainty is None else f"; the members' spread is {self.certainty:.2f} of the error")
        )

    def summary(self) -> dict[str, float]:
        """Return the numbers that belong into a run's record."""
        return {
            "r2_total": self.r2_total,
            "r2_median": float(self.r2.nanmedian()),
            "rmse": float(self.rmse.square().mean().sqrt()),
            "n_train": float(self.n_train),
            "n_validation": float(self.n_validation),
            "epochs": float(len(self.history)),
            **({} if self.certainty is None else {"spread_of_error": self.certainty}),
        }

    def plot(self, path: Path) -> None:
        """Draw predicted against measured, the error of each output, and the course of the fit."""
        from matplotlib.figure import Figure

        n_panels = 3 if self.history else 2
        figure = Figure(figsize=(4 * n_panels, 3.8), layout="constrained")
        parity, per_output, *course = figure.subplots(1, n_panels)
        measured, predicted = self.measured.flatten(), self.predicted.flatten()
        shown = slice(None, None, max(1, len(measured) // 20_000))
        low, high = float(measured.min()), float(measured.max())
        parity.plot([low, high], [low, high], color="0.6", linewidth=1)
        parity.plot(measured[shown], predicted[shown], ".", markersize=1.5, alpha=0.3)
        parity.set(xlabel="measured (full scale = 1)", ylabel="twin", title=f"held out: R² = {self.r2_total:.4f}")
        per_output.plot(self.r2.numpy(), ".", markersize=4)
        per_output.set(
            xlabel="output",
            ylabel="held-out R²",
            title="each output",
            ylim=(min(0.0, float(self.r2.nan_to_num(1).min())), 1.02),
        )
        for axes in course:
            axes.semilogy(range(1, len(self.history) + 1), self.history)
            axes.set(xlabel="epoch", ylabel="held-out error / variance", title="course of the fit")
        figure.savefig(path, dpi=120)


def fit(
    twin: DigitalTwin, shots: ShotSet, config: FitConfig | None = None, *,
    anew: bool = True, on_epoch: Callable[[int, float], None] | None = None,
) -> FitReport:  # fmt: skip
    """Learn the twin's parameters from shots, in place; the best held-out epoch wins.

    Where states inside were read that the twin has too, each stage learns by itself, from the state before it to the
    one behind it; they count like the outputs. Where a batch shares drives, outputs alone count.

    Args:
        twin: Any twin; parameters with `requires_grad` are learned.
        shots: Drawn from the distribution that training will visit.
        config: How.
        anew: Whether a twin that standardises takes mean and spread from these shots; not where a fitted one goes on.
        on_epoch: Told the epoch (from 1) and its held-out mean square error in units of each output's variance.

    Raises:
        TwinError: Too few shots, nothing to learn, or the error became NaN.
    """
    config = config or FitConfig()
    if isinstance(twin, EnsembleTwin):
        return _fit_members(twin, shots, config, anew=anew, on_epoch=on_epoch)
    n_validation = max(1, round(config.validation * len(shots)))
    learned = [p for p in twin.parameters() if p.requires_grad]
    if len(shots) - n_validation < 1 or not learned:
        what = "nothing of it can be learned" if not learned else f"{len(shots)} shots are too few"
        raise TwinError(f"{type(twin).__name__}: {what}; record more shots or choose another twin")
    generator = torch.Generator().manual_seed(config.seed)
    order = torch.randperm(len(shots), generator=generator)
    held_out, training = shots[order[:n_validation]], shots[order[n_validation:]]
    standardise = getattr(twin, "standardise", None)
    if anew and standardise is not None:
        standardise(training.drive, training.y)
    weights = tuple(_weight(reading) for reading in (*training.states, training.y))
    optimiser = torch.optim.Adam(learned, lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs)
    best, best_state, best_epoch, history = _error(twin, held_out, weights), copy.deepcopy(twin.state_dict()), 0, []
    for epoch in range(1, config.epochs + 1):
        for index in torch.randperm(len(training), generator=generator).split(config.batch):
            batch = training[index]
            loss = _misfit(twin, batch, weights)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        schedule.step()
        error = _error(twin, held_out, weights)
        history.append(error)
        if error != error:
            raise TwinError(f"{type(twin).__name__}: its error became NaN in epoch {epoch}; lower `learning_rate`")
        if on_epoch is not None:
            on_epoch(epoch, error)
        if error < best:
            best, best_state, best_epoch = error, copy.deepcopy(twin.state_dict()), epoch
        if epoch - best_epoch >= config.patience:
            break
    twin.load_state_dict(best_state)
    return evaluate(twin, held_out, n_train=len(training), history=tuple(history))


def _fit_members(
    twin: EnsembleTwin, shots: ShotSet, config: FitConfig, *, anew: bool,
    on_epoch: Callable[[int, float], None] | None,
) -> FitReport:  # fmt: skip
    """Fit each member to its own resampling of the shots that none of them is judged by."""
    n_validation = max(1, round(config.validation * len(shots)))
    if len(shots) - n_validation < 2:
        raise TwinError(f"EnsembleTwin: {len(shots)} shots are too few; record more")
    generator = torch.Generator().manual_seed(config.seed)
    order = torch.randperm(len(shots), generator=generator)
    held_out, training = shots[order[:n_validation]], shots[order[n_validation:]]
    histories = []
    for number, member in enumerate(twin.members):
        assert isinstance(member, DigitalTwin)  # noqa: S101 (made of twins)
        drawn = training[torch.randint(len(training), (len(training),), generator=generator)]
        own = config.model_copy(update={"seed": config.seed + 1 + number})
        histories.append(fit(member, drawn, own, anew=anew, on_epoch=on_epoch).history)
    longest = max(histories, key=len)
    return evaluate(twin, held_out, n_train=len(training), history=longest)


def predict(twin: DigitalTwin, shots: ShotSet) -> Tensor:
    """Return the twin's outputs for recorded drives; shots that shared a drive are predicted together."""
    shared = twin.interface.shared
    if not shared:
        y: Tensor = twin(*shots.drive)
        return y
    outputs = torch.empty_like(shots.y)
    key = next(iter(shared))
    settings, which = shots.drive[key].unique(dim=0, return_inverse=True)
    for k in range(len(settings)):
        rows = (which == k).nonzero().squeeze(1)
        drive = tuple(d[rows[0]] if i in shared else d[rows] for i, d in enumerate(shots.drive))
        outputs = outputs.index_copy(0, rows, twin(*drive))
    return outputs


def evaluate(twin: DigitalTwin, shots: ShotSet, *, n_train: int = 0, history: tuple[float, ...] = ()) -> FitReport:
    """Compare a twin with shots that it has not seen."""
    with torch.no_grad():
        predicted = torch.cat([predict(twin, shots[slice(k, k + 512)]) for k in range(0, len(shots), 512)])
    residual, variation = (shots.y - predicted).square(), (shots.y - shots.y.mean(0)).square()
    power = variation.sum(0)
    r2 = torch.where(power > 0, 1 - residual.sum(0) / power, torch.nan)
    total = 1 - float(residual.sum() / power.sum()) if float(power.sum()) else float("nan")
    spread = None
    if isinstance(twin, EnsembleTwin):
        with torch.no_grad():
            each = [predict(member, shots) for member in twin.members if isinstance(member, DigitalTwin)]
        spread = torch.stack(each).std(0)
    return FitReport(
        residual.mean(0).sqrt(), r2, total, n_train, len(shots), history, shots.y.detach(), predicted.detach(), spread
    )


def _weight(y: Tensor) -> Tensor:
    """Return one over each output's spread, so that every output counts alike; one that hardly varies counts less."""
    std = y.std(0)
    return 1 / std.clamp(min=max(1e-2 * float(std.max()), torch.finfo(y.dtype).tiny))


def _misfit(twin: DigitalTwin, shots: ShotSet, weights: Sequence[Tensor]) -> Tensor:
    """Return the mean square error of outputs, and of states that the twin knows, by their weights."""
    if twin.n_stages == 1 or twin.interface.shared or not shots.states:
        return ((predict(twin, shots) - shots.y) * weights[-1]).square().mean()
    pairs = list(stage_by_stage(twin, shots.drive, (*shots.states, shots.y)))
    errors = [
        ((said - read) * weight).square().mean()
        for (said, read), weight in zip(pairs, weights[-len(pairs) :], strict=True)
    ]
    return torch.stack(errors).mean()


def _error(twin: DigitalTwin, shots: ShotSet, weights: Sequence[Tensor]) -> float:
    with torch.no_grad():
        parts = [shots[slice(k, k + 512)] for k in range(0, len(shots), 512)]
        return sum(float(_misfit(twin, part, weights)) * len(part) for part in parts) / len(shots)
