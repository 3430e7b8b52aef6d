"""Figures of a comparison as a person reads them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pnnlab.cli._text import count, duration, quantity

if TYPE_CHECKING:
    from pnnlab.training import MethodResult, Spread

__all__ = ["COLUMNS", "TITLES", "cells", "percent"]

TITLES: Final = {"shots": "equal shots", "time": "equal bench time"}
"""Kinds of budgets, as a heading."""
COLUMNS: Final = ("method", "test accuracy", "shots", "bench time", "energy", "alignment", "shots to 90 % of best")
"""What `cells` returns."""
_NONE: Final = "–"


def cells(result: "MethodResult", best: float) -> list[str]:
    """Return a result's figures in the order of `COLUMNS`.

    Args:
        result: Of one method.
        best: The best test accuracy of all methods with the same budget.
    """
    return [
        result.method,
        percent(result.accuracy),
        _mean(result.shots, lambda value: count(round(value))),
        _mean(result.bench_s, duration),
        _mean(result.energy_j, lambda value: quantity(value, "J")),
        _mean(result.alignment, lambda value: f"{value:.2f}"),
        _mean(result.shots_to(0.9 * best), lambda value: count(round(value))),
    ]


def percent(value: "Spread") -> str:
    """Return a part in percent with its spread over seeds."""
    if not value.n:
        return _NONE
    spread = f" ± {100 * value.std:.1f}" if value.n > 1 else ""
    return f"{100 * value.mean:.1f}{spread} %"


def _mean(value: "Spread", show: Callable[[float], str]) -> str:
    return show(value.mean) if value.n else _NONE
