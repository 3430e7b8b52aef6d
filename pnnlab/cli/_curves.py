"""The course of a training as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pnnlab.errors import RunError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pnnlab.runs import LoggedStep

__all__ = ["draw_curves"]

_TIME_UNITS: Final = ((7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))
"""From this many s on, the unit of so many s."""


def draw_curves(lines: Sequence["LoggedStep"], path: Path, *, title: str, test_accuracy: float | None = None) -> None:
    """Draw loss and validation accuracy against shots and against bench time.

    A run that took no shots while it trained (in silico) is drawn against its steps.

    Args:
        lines: What the run logged.
        path: The picture; its ending says of which kind.
        title: Above the picture.
        test_accuracy: Drawn as a line, where it is known.

    Raises:
        RunError: Nothing was logged, or the picture cannot be written.
    """
    from matplotlib.figure import Figure

    if not lines:
        raise RunError(f"{title}: nothing to draw, because the run made no step; look at its status")
    axes_x = _abscissae(lines)
    figure = Figure(figsize=(5.5 * len(axes_x), 6.5), layout="constrained")
    grid = figure.subplots(2, len(axes_x), squeeze=False, sharex="col", sharey="row")
    for (label, x), loss, accuracy in zip(axes_x.items(), grid[0], grid[1], strict=True):
        _draw_loss(loss, x, lines)
        _draw_accuracy(accuracy, x, lines, test_accuracy)
        accuracy.set_xlabel(label)
    grid[0][0].set_ylabel("loss")
    grid[1][0].set_ylabel("accuracy")
    for row in grid:
        row[0].legend(frameon=False)
    figure.suptitle(title)
    try:
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: the picture cannot be written ({error}); name a file ending in .png") from error


def _abscissae(lines: Sequence["LoggedStep"]) -> dict[str, np.ndarray]:
    """Return what to draw against, by the label of its axis."""
    shots = np.array([line["shots"] for line in lines])
    if shots[-1] == shots[0] and len(lines) > 1:
        return {f"step ({shots[0]:,} shots were taken before)": np.array([line["step"] for line in lines])}
    times_s = np.array([line["bench_s"] for line in lines])
    _, scale_s, unit = next(entry for entry in _TIME_UNITS if times_s[-1] >= entry[0])
    return {"shots": shots, f"bench time ({unit})": times_s / scale_s}


def _draw_loss(axes: "Axes", x: np.ndarray, lines: Sequence["LoggedStep"]) -> None:
    losses = np.array([line["metrics"]["loss"] for line in lines])
    axes.plot(x, losses, color="0.85", linewidth=0.8, label="training, each step")
    epochs = np.array([line["epoch"] for line in lines])
    means = [(x[epochs == epoch][-1], losses[epochs == epoch].mean()) for epoch in np.unique(epochs)]
    axes.plot(*zip(*means, strict=True), ".-", color="C1", label="training, mean of the epoch")
    at, values = _validation(x, lines, "validation_loss")
    axes.plot(at, values, ".-", color="C0", label="validation")
    axes.set_yscale("log")


def _draw_accuracy(axes: "Axes", x: np.ndarray, lines: Sequence["LoggedStep"], test_accuracy: float | None) -> None:
    at, values = _validation(x, lines, "validation_accuracy")
    axes.plot(at, values, ".-", color="C0", label="validation")
    if test_accuracy is not None:
        axes.axhline(test_accuracy, color="C3", linestyle="--", linewidth=1, label=f"test {test_accuracy:.4f}")
    axes.set_ylim(0, 1.02)


def _validation(x: np.ndarray, lines: Sequence["LoggedStep"], name: str) -> tuple[list[float], list[float]]:
    found = [(float(at), line["metrics"][name]) for at, line in zip(x, lines, strict=True) if name in line["metrics"]]
    return [at for at, _ in found], [value for _, value in found]
