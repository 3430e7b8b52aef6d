"""A record's curves, in the terminal and as a picture."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from pnnlab.errors import RecordError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pnnlab.calibration import Curve, Panel

__all__ = ["draw_panels", "panel_lines"]

Floats = npt.NDArray[np.float64]
_PREFIXES: Final = {-9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M"}
_SYMBOLS: Final = "ox+#%&@$"
_ROWS: Final = 14
_DECADES: Final = 4.0
"""A logarithmic ordinate reaches so many decades below its top at the most."""
_LABELLED: Final = 8
"""With more curves than this a legend is longer than the picture."""


class _Axis:
    """The range of a panel's axis, in the prefix of its unit that keeps numbers short."""

    def __init__(self, label: str, unit: str, values: Floats, *, log: bool = False) -> None:
        finite = values[np.isfinite(values)]
        finite = finite[finite > 0] if log else finite
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.1, 1.0)
        power = 0
        if unit not in ("1", "") and max(abs(low), abs(high)) > 0:
            power = min(6, max(-9, 3 * math.floor(math.log10(max(abs(low), abs(high))) / 3 + 1e-9)))
        self.scale, self.log = 10.0**-power, log
        shown = f"{_PREFIXES[power]}{unit}" if unit not in ("1", "") else ""
        self.label = f"{label} ({shown})" if shown else label
        if log:
            low = max(low, high / 10**_DECADES)
            low, high = low / 1.3, high * 1.3
        elif high == low:
            margin = abs(high) or (1.0 if unit in ("1", "") else 1e-6)
            low, high = low - margin, high + margin
        else:
            low, high = low - 0.03 * (high - low), high + 0.03 * (high - low)
        self.low, self.high = low, high

    def share(self, values: Floats) -> Floats:
        """Return where values lie between the ends, 0 to 1; NaN where they are not on the axis."""
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.log:
                along = np.log(values / self.low) / math.log(self.high / self.low)
            else:
                along = (values - self.low) / (self.high - self.low)
        return np.where((along >= 0) & (along <= 1), along, np.nan)

    def told(self, share: float) -> str:
        """Return the number at a place, 0 to 1."""
        at = self.low * (self.high / self.low) ** share if self.log else self.low + share * (self.high - self.low)
        at = 0.0 if abs(at) < 1e-9 * max(abs(self.low), abs(self.high)) else at
        return f"{at * self.scale:.3g}"


def _axes(panel: "Panel") -> tuple[_Axis, _Axis]:
    x = np.concatenate([*(curve.x for curve in panel.curves), [value for value, _ in panel.marks.values()]])
    y = np.concatenate([*(curve.y for curve in panel.curves), list(panel.levels.values())])
    return _Axis(panel.x_label, panel.x_unit, x), _Axis(panel.y_label, panel.y_unit, y, log=panel.log_y)


def panel_lines(panel: "Panel", width: int) -> list[str]:
    """Return a panel drawn with letters, which every terminal knows.

    Args:
        panel: What to draw.
        width: Columns of the terminal.
    """
    x_axis, y_axis = _axes(panel)
    ticks = {row: y_axis.told(1 - row / (_ROWS - 1)) for row in (0, _ROWS // 2, _ROWS - 1)}
    gutter = max(map(len, ticks.values())) + 1
    columns = width - gutter - 2
    canvas = np.full((_ROWS, columns), " ")
    for level in panel.levels.values():
        if math.isfinite(row := float(y_axis.share(np.array([level]))[0])):
            canvas[_row(row), :] = "-"
    for mark, _ in panel.marks.values():
        if math.isfinite(column := float(x_axis.share(np.array([mark]))[0])):
            canvas[:, round(column * (columns - 1))] = "|"
    for k, curve in enumerate(panel.curves):
        at_x, at_y = x_axis.share(curve.x), y_axis.share(curve.y)
        for i in np.flatnonzero(np.isfinite(at_x) & np.isfinite(at_y)).tolist():
            canvas[_row(float(at_y[i])), round(float(at_x[i]) * (columns - 1))] = _SYMBOLS[k % len(_SYMBOLS)]
    lines = [f"{panel.title}: {y_axis.label}{', logarithmic' * panel.log_y}"]
    lines += [f"{ticks.get(row, ''):>{gutter}} |{''.join(canvas[row])}".rstrip() for row in range(_ROWS)]
    left, right = x_axis.told(0.0), x_axis.told(1.0)
    lines.append(f"{'':>{gutter}} +{'-' * columns}")
    middle = x_axis.label.center(max(columns - len(left) - len(right), 0))
    lines.append(f"{'':>{gutter}}  {left}{middle}{right}")
    lines.append(f"{'':>{gutter}}  {_key(panel, x_axis, y_axis)}")
    return lines


def _row(share: float) -> int:
    return round((1 - share) * (_ROWS - 1))


def _key(panel: "Panel", x_axis: _Axis, y_axis: _Axis) -> str:
    """Return what the letters of a drawing mean."""
    symbols = [f"{_SYMBOLS[k % len(_SYMBOLS)]} {curve.label}" for k, curve in enumerate(panel.curves[:_LABELLED])]
    levels = [f"- {name} {value * y_axis.scale:.3g}" for name, value in panel.levels.items()]
    marks = [f"| {name} {value * x_axis.scale:.3g}" for name, (value, _) in panel.marks.items()]
    return "   ".join([*symbols, *levels, *marks])


def draw_panels(panels: Sequence["Panel"], path: Path, *, title: str) -> None:
    """Draw panels below each other into a picture.

    Args:
        panels: What to draw.
        path: The picture; its ending says of which kind.
        title: Above the picture.

    Raises:
        RecordError: There is nothing to draw, or the picture cannot be written.
    """
    from matplotlib.figure import Figure

    if not panels:
        raise RecordError(f"{title}: the record has no curves to draw; look at its reasons")
    figure = Figure(figsize=(7.5, 0.5 + 3.9 * len(panels)), layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False)
    for panel, (axes,) in zip(panels, grid, strict=True):
        _draw(axes, panel)
    figure.suptitle(title, fontsize=10)
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: the picture cannot be written ({error}); name a file ending in .png") from error


def _draw(axes: "Axes", panel: "Panel") -> None:
    x_axis, y_axis = _axes(panel)
    for k, curve in enumerate(panel.curves):
        _draw_curve(axes, curve, x_axis, y_axis, colour=f"C{k % 10}")
    for k, (name, level) in enumerate(panel.levels.items()):
        axes.axhline(level * y_axis.scale, color="0.35", linewidth=1, linestyle=("--", ":")[k % 2], label=name)
    for k, (name, (value, uncertainty)) in enumerate(panel.marks.items()):
        at, doubt, colour = value * x_axis.scale, uncertainty * x_axis.scale, f"C{(3, 1, 2)[k % 3]}"
        axes.axvline(at, color=colour, linewidth=1.2, label=f"{name}: {at:.4g} ± {doubt:.2g}")
        axes.axvspan(at - doubt, at + doubt, color=colour, alpha=0.15, linewidth=0)
    if panel.log_y:
        axes.set_yscale("log")
    axes.set_xlim(x_axis.low * x_axis.scale, x_axis.high * x_axis.scale)
    axes.set_ylim(y_axis.low * y_axis.scale, y_axis.high * y_axis.scale)
    axes.set_title(panel.title, loc="left", fontsize=11)
    axes.set_xlabel(x_axis.label)
    axes.set_ylabel(y_axis.label)
    axes.grid(visible=True, color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if len(panel.curves) <= _LABELLED:
        axes.legend(frameon=False, fontsize=8, loc="best")


def _draw_curve(axes: "Axes", curve: "Curve", x_axis: _Axis, y_axis: _Axis, *, colour: str) -> None:
    x, y = curve.x * x_axis.scale, curve.y * y_axis.scale
    line = "-" if curve.joined else "none"
    if curve.error is None:
        many = len(x) > 200
        marker = "." if not curve.joined or len(x) < 60 else ""
        axes.plot(x, y, linestyle=line, marker=marker, markersize=2 if many else 4, linewidth=1.2, color=colour,
                  alpha=0.6 if many else 1.0, label=curve.label)  # fmt: skip
        return
    shown = y > 0 if y_axis.log else np.isfinite(y)
    error = curve.error * y_axis.scale
    axes.errorbar(x[shown], y[shown], error[shown], marker=".", linestyle=line, markersize=5, linewidth=1,
                  elinewidth=0.8, capsize=2, color=colour, label=curve.label)  # fmt: skip
