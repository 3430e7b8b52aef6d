"""What a record looks like: curves that a terminal, a picture or another tool draws."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Curve", "Panel"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve of a panel.

    Attributes:
        label: What it is.
        x: Shape `(n,)`, in the panel's unit.
        y: Shape `(n,)`; NaN where nothing is known.
        error: Standard uncertainty of `y`, shape `(n,)`; `None` where it is not drawn.
        joined: Whether neighbouring points are joined by a line.
    """

    label: str
    x: Floats
    y: Floats
    error: Floats | None = None
    joined: bool = True


@dataclass(frozen=True, eq=False)
class Panel:
    """Curves that share their axes.

    Attributes:
        title: Above the panel.
        x_label: What is on the abscissa.
        x_unit: Its SI unit, `"1"` for a pure number.
        y_label: What is on the ordinate.
        y_unit: Its SI unit.
        curves: The curves.
        levels: Horizontal lines, by their label.
        marks: Vertical lines with their standard uncertainties, by their label.
        log_y: Whether the ordinate is logarithmic.
    """

    title: str
    x_label: str
    x_unit: str
    y_label: str
    y_unit: str
    curves: tuple[Curve, ...]
    levels: Mapping[str, float] = field(default_factory=dict)
    marks: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    log_y: bool = False
