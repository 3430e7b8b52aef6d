"""The command `pnnlab devices preview`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pnnlab.cli._device_values import hold_output, hold_seconds
from pnnlab.cli._options import BENCH, BenchOption, DeviceArgument, HoldOption
from pnnlab.cli._terminal import print_facts
from pnnlab.cli._text import count, quantity

if TYPE_CHECKING:
    from pnnlab.bench import Bench
    from pnnlab.devices import Camera, SpatialLightModulator

__all__ = ["preview_device"]


def preview_device(
    name: DeviceArgument,
    *,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The picture; NAME-preview.png if left out.")
    ] = None,
    exposure: Annotated[
        str | None, typer.Option("--exposure", metavar="TIME", help="Of a camera; what it is set to if left out.")
    ] = None,
    hold: HoldOption = None,
    bench: BenchOption = BENCH,
) -> None:
    """Look through a camera, or show a test card on a spatial light modulator.

    A camera takes one frame: the picture, its histogram and its saturated pixels go to a PNG, a summary to the
    terminal. A modulator shows a card that looks like itself in no mirrored and no turned form, and names its device;
    the PNG is what it should look like. It is held until Ctrl-C, or for the time that --for says.
    """
    from pnnlab.bench import Bench, BenchFile
    from pnnlab.devices import Camera, SpatialLightModulator
    from pnnlab.errors import AbilityError
    from pnnlab.quantities import parse_quantity

    path = out or Path(f"{name}-preview.png")
    hold_s = hold_seconds(hold)
    file = BenchFile.load(bench).only(name)
    driver = file.config.devices[name].cls
    if not issubclass(driver, Camera | SpatialLightModulator):
        raise AbilityError(
            f"{name}: a preview needs a camera or a spatial light modulator; `pnnlab devices get {name}`"
        )
    try:
        exposure_s = None if exposure is None else parse_quantity(exposure, "s")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--exposure") from error
    with Bench(file) as opened:
        device = opened.devices[name]
        if isinstance(device, Camera):
            _look(device, exposure_s, path)
        elif isinstance(device, SpatialLightModulator):
            _show(opened, device, hold_s, path)


def _look(camera: "Camera", exposure_s: float | None, path: Path) -> None:
    from pnnlab.cli._camera_plot import frame_figure, look_at, take_frame

    if exposure_s is not None:
        camera.configure(exposure_s=exposure_s)
    counts = take_frame(camera)
    seen = look_at(counts, camera.bit_depth)
    frame_figure(camera, counts, seen).savefig(path)
    h, w = counts.shape
    print_facts({
        "camera": f"{camera.identity.vendor} {camera.identity.model} serial {camera.identity.serial}".strip(),
        "frame": f"{h} x {w} pixels of {camera.bit_depth} bits, exposed {quantity(camera.exposure_s, 's')}",
        "counts": f"{seen.low:g} to {seen.high:g}, mean {seen.mean:.4g}, median {seen.median:g} of {seen.top}",
        "saturated": f"{count(seen.saturated)} of {count(h * w)} pixels ({seen.saturated / (h * w):.2%})",
        "histogram": seen.sparkline,
        "advice": seen.advice,
        "picture": str(path),
    })  # fmt: skip


def _show(bench: "Bench", panel: "SpatialLightModulator", hold_s: float | None, path: Path) -> None:
    import numpy as np

    from pnnlab.cli._camera_plot import card_figure
    from pnnlab.cli._test_card import test_card

    limits = panel.limits("level")
    card = test_card(panel.shape, panel.levels, panel.name)
    # what the bench file does not allow is not shown, whatever the card says
    shown = panel.write(np.clip(card, limits.low, limits.high)).realised
    card_figure(panel, shown).savefig(path)
    h, w = panel.shape
    print_facts({
        "panel": f"{panel.identity.vendor} {panel.identity.model} serial {panel.identity.serial}".strip(),
        "card": f"{h} x {w} pixels, levels {shown.min():g} to {shown.max():g}",
        "look for": "one square at the upper left, two at the upper right, three at the lower right, four at the lower "
        "left;\nthe letter F upright, the name of this device if there is room; a bright first row and first column",
        "picture": f"{path}: what it should look like",
    })  # fmt: skip
    hold_output(panel, bench.clock, hold_s)
