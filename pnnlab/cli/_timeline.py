"""The timeline of two training steps as a picture."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pnnlab.errors import RunError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pnnlab.training import Profile

__all__ = ["draw_timeline"]

_COLOURS: Final[Mapping[str, str]] = {
    "expose": "#2a78b5", "record": "#2a78b5", "multiply": "#2a78b5", "settle": "#8fc1e3", "show": "#5b9f9b",
    "read out": "#1b4f72", "upload": "#d9762b", "program": "#d9762b", "decode": "#7cb46b", "encode": "#f0c04a",
    "backward": "#a8508f", "optimiser": "#c8402f", "wait": "#e4e4e4",
}  # fmt: skip
"""Blue measures, orange and yellow prepare, purple and red compute; any other stage is grey."""
_OTHER: Final = "#8c8c8c"
_PARTS: Final[tuple[tuple[str, str], ...]] = (
    ("the devices measure", "#2a78b5"),
    ("the devices and what they lose", "#2a78b5"),
    ("shots taken again", "#c8402f"),
    ("loading and arming", "#d9762b"),
    ("decoding", "#7cb46b"),
    ("waiting for the host, within", "#d9a7cb"),
    ("waiting for the host: encoding", "#f0c04a"),
    ("waiting for the host: optimiser", "#c8402f"),
    ("waiting for the host", "#a8508f"),
    ("", "#7f8fa3"),
)
"""The colour of a part by how its name begins."""
_LANE_HEIGHT: Final = 0.62


def draw_timeline(found: "Profile", path: Path, *, title: str) -> None:
    """Draw what bench and host did in two steps of usual length, and the shares of all steps' time.

    Args:
        found: The profile.
        path: The picture; its ending says of which kind.
        title: Above the picture.

    Raises:
        RunError: The picture cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.9), layout="constrained")
    lanes, shares = figure.subplots(2, 1, height_ratios=(3.2, 1))
    _draw_lanes(lanes, found)
    _draw_shares(shares, found)
    figure.suptitle(title)
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: the picture cannot be written ({error}); name a file ending in .png") from error


def _draw_lanes(axes: "Axes", found: "Profile") -> None:
    from matplotlib.patches import Patch

    from pnnlab.systems import Lane
    from pnnlab.training import course

    begin_s, end_s = _usual_steps(found)
    heights = {Lane.BENCH: 1.0, Lane.HOST: 0.0}
    names: dict[str, str] = {}
    for lane, y in heights.items():
        bars: dict[str, list[tuple[float, float]]] = {}
        for segment in course(found.spans, lane, begin_s, end_s):
            bars.setdefault(segment.stage, []).append(
                ((segment.begin_s - begin_s) * 1e3, (segment.end_s - segment.begin_s) * 1e3)
            )
        bottom = y - _LANE_HEIGHT / 2
        # what is empty is seen through: the bench idles, the host does what nothing records
        axes.broken_barh([(0, (end_s - begin_s) * 1e3)], (bottom, _LANE_HEIGHT), facecolor="white", edgecolor="#c9c9c9",
                         hatch="////", linewidth=0, zorder=1)  # fmt: skip
        for stage, stretches in bars.items():
            if stage:
                colour = names.setdefault(stage, _COLOURS.get(stage, _OTHER))
                axes.broken_barh(stretches, (bottom, _LANE_HEIGHT), facecolor=colour, linewidth=0, zorder=2)
    for first_s, last_s in found.steps:
        for edge_s in (first_s, last_s):
            if begin_s <= edge_s <= end_s:
                axes.axvline((edge_s - begin_s) * 1e3, color="black", linewidth=0.8, linestyle=":", zorder=3)
    bench = "bench" if found.prediction is None else "simulation\nof the bench\n(computing)"
    axes.set(xlim=(0, (end_s - begin_s) * 1e3), ylim=(-0.5, 1.5), xlabel="time (ms); dotted: a step begins or ends")
    axes.set_yticks([1.0, 0.0], [bench, "host"])
    axes.tick_params(axis="y", length=0)
    handles = [Patch(facecolor=colour, label=stage) for stage, colour in names.items()]
    handles.append(
        Patch(facecolor="white", edgecolor="#c9c9c9", hatch="////", linewidth=0, label="idle, or not recorded")
    )
    axes.legend(handles=handles, ncols=len(handles), loc="lower left", bbox_to_anchor=(0, 1), frameon=False,
                borderaxespad=0.2, handlelength=1.4, columnspacing=1.4)  # fmt: skip
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _draw_shares(axes: "Axes", found: "Profile") -> None:
    shown = found.prediction or found.account
    left = 0.0
    for part, time_s in shown.parts.items():
        share = 100 * time_s / shown.wall_s
        if share < 0.05:  # it would be shown as nothing
            continue
        colour = next(colour for begin, colour in _PARTS if part.startswith(begin))
        axes.barh(0, share, left=left, height=0.8, color=colour, label=f"{part} {share:.1f} %")
        if share > 4:
            axes.text(left + share / 2, 0, f"{share:.0f} %", ha="center", va="center", color="white", weight="bold")
        left += share
    what = "all steps" if found.prediction is None else "a real bench\nof this speed\n(predicted)"
    axes.set_xlim(0, max(left, 100.0))
    axes.set_yticks([0], [what])
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0)
    axes.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, 0), frameon=False, borderaxespad=0.2, handlelength=1.4)
    for side in axes.spines.values():
        side.set_visible(False)


def _usual_steps(found: "Profile") -> tuple[float, float]:
    """Return begin and end of two steps in succession that took as long as such two do, as a rule."""
    steps = found.steps
    pairs = [(first[0], second[1]) for first, second in pairwise(steps)] or [steps[0]]
    ordered = sorted(pairs, key=lambda pair: pair[1] - pair[0])
    return ordered[len(ordered) // 2]
