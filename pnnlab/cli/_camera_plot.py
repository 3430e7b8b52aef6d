"""Pictures of a camera's frame and of a modulator's test card."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from pnnlab.cli._text import quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pnnlab.devices import Camera, SpatialLightModulator

__all__ = ["Look", "card_figure", "frame_figure", "look_at", "take_frame"]

Counts = npt.NDArray[np.number]

_BARS: Final = " ▁▂▃▄▅▆▇█"
_BINS: Final = 48


@dataclass(frozen=True)
class Look:
    """What a frame says about light and exposure.

    Attributes:
        low: Smallest count.
        high: Largest count.
        mean: Their mean.
        median: Their median.
        top: The largest count that there can be.
        saturated: Pixels that have it.
        histogram: Pixels by count, in `_BINS` even bins from 0 to `top`.
    """

    low: float
    high: float
    mean: float
    median: float
    top: int
    saturated: int
    histogram: npt.NDArray[np.int64]

    @property
    def sparkline(self) -> str:
        """Return the histogram in one line; heights are logarithmic, so that few pixels are seen."""
        heights = np.log1p(self.histogram)
        steps = np.ceil(heights / max(heights.max(), 1e-9) * (len(_BARS) - 1)).astype(int)
        return f"0 |{''.join(_BARS[step] for step in steps)}| {self.top}"

    @property
    def advice(self) -> str:
        """Return what to do about the exposure."""
        share = self.saturated / self.histogram.sum()
        if share > 1e-3:
            return "too bright: shorten the exposure or weaken the light"
        if self.high < 0.25 * self.top:
            return "dark: lengthen the exposure or strengthen the light"
        return "well exposed"


def take_frame(camera: "Camera") -> Counts:
    """Return one frame, shape `(h, w)`."""
    from pnnlab.devices import Trigger
    from pnnlab.errors import AbilityError

    kinds = [kind for kind in (Trigger.SOFTWARE, Trigger.INTERNAL) if kind in camera.triggers]
    if not kinds:
        raise AbilityError(f"{camera.name}: it has hardware triggers only, which nothing here can make")
    camera.arm_frames(1, trigger=kinds[0])
    try:
        camera.start()
        if kinds[0] is Trigger.SOFTWARE:
            camera.trigger()
        frame: Counts = camera.read(1, timeout_s=5.0 + 2 * camera.exposure_s).counts[0]
        return frame
    finally:
        camera.disarm()


def look_at(counts: Counts, bit_depth: int) -> Look:
    """Return what a frame says about light and exposure."""
    top = 2**bit_depth - 1
    histogram = np.histogram(counts, _BINS, (0, top + 1))[0]
    low, high = float(counts.min()), float(counts.max())
    saturated = int((counts >= top).sum())
    return Look(low, high, float(counts.mean()), float(np.median(counts)), top, saturated, histogram)


def frame_figure(camera: "Camera", counts: Counts, seen: Look) -> "Figure":
    """Return the picture of a frame, its saturated pixels in red, and its histogram."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8), layout="constrained")
    image, bars = figure.subplots(2, 1, height_ratios=[3, 1])
    shown = image.imshow(counts, cmap="gray", vmin=0, vmax=max(seen.high, 1))
    figure.colorbar(shown, ax=image, label="counts")
    full = np.ma.masked_less(counts, seen.top)
    image.imshow(full, cmap=ListedColormap(["red"]), interpolation="nearest")
    image.set_title(
        f"{camera.name}: exposed {quantity(camera.exposure_s, 's')}, {seen.saturated} pixels saturated (red)"
    )
    edges = np.linspace(0, seen.top + 1, _BINS + 1)
    bars.stairs(seen.histogram, edges, fill=True, color="0.4")
    bars.axvline(seen.top, color="red", linewidth=1)
    bars.set(yscale="symlog", xlabel="counts", ylabel="pixels", xlim=(0, 1.02 * (seen.top + 1)), ylim=(0, None))
    return figure


def card_figure(panel: "SpatialLightModulator", levels: Counts) -> "Figure":
    """Return the picture of what a panel should look like."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 8 * panel.shape[0] / panel.shape[1] + 1), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(levels, cmap="gray", vmin=0, vmax=panel.levels - 1, interpolation="nearest")
    figure.colorbar(shown, ax=axes, label="level", shrink=0.8)
    axes.set_title(f"{panel.name}: the test card as it should look")
    axes.set(xlabel="column", ylabel="row")
    return figure
