"""The commands `pnnlab devices get` and `pnnlab devices set`."""

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from pnnlab.cli._options import BENCH, BenchOption, DeviceArgument, HoldOption, JsonOption
from pnnlab.cli._terminal import print_facts, print_json
from pnnlab.cli._text import quantity, setting

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pnnlab.bench import Knob
    from pnnlab.devices import Clock, Device

__all__ = ["get_value", "hold_output", "hold_seconds", "set_value"]

_SHOWN = 16
"""Of a table of numbers as many are written out."""


def get_value(
    name: DeviceArgument,
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", help="As `exposure`, `voltage`, `voltage.2` or a setting's name.")
    ] = None,
    *,
    bench: BenchOption = BENCH,
    as_json: JsonOption = False,
) -> None:
    """Open one device, read a value or all there are, and close it.

    Keys by role: camera exposure, roi; DAC voltage (of output 2: voltage.2); ADC input; crossbar conductance; and the
    settings that `pnnlab devices` shows. Closing makes outputs safe, as it always does.
    """
    from pnnlab.bench import Bench, BenchFile, knobs_of

    with Bench(BenchFile.load(bench).only(name)) as opened:
        device = opened.devices[name]
        settings = device.settings()
        if key is not None:
            word, index = _split(key)
            if word in settings and not index:
                print_json(settings[word]) if as_json else typer.echo(setting(word, settings[word]))
                return
            knob = knobs_of(device)[word]
            found = knob.read(index)
            print_json(found.tolist()) if as_json else typer.echo(_values(found, knob.unit))
            return
        readings = {knob.name: (knob.read(), knob.unit) for knob in knobs_of(device).values() if knob.getter}
    if as_json:
        print_json({**settings, **{word: found.tolist() for word, (found, _) in readings.items()}})
        return
    facts = {word: _values(found, unit) for word, (found, unit) in readings.items()}
    print_facts({**facts, "settings": "\n".join(setting(word, value) for word, value in settings.items()) or "none"})


def set_value(
    name: DeviceArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", help="As `exposure`, `level`, `voltage` or `voltage.2`.")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A quantity with its unit, as '1 V' or '2 ms'.")],
    *,
    hold: HoldOption = None,
    bench: BenchOption = BENCH,
) -> None:
    """Open one device, set a value within its limits, and close it.

    Closing makes outputs safe, so an output is held until Ctrl-C, or for the time that --for says. What is no output,
    as an exposure, stays in the instrument as long as that keeps it.
    """
    from pnnlab.bench import Bench, BenchFile, knobs_of

    hold_s = hold_seconds(hold)
    with Bench(BenchFile.load(bench).only(name)) as opened:
        device = opened.devices[name]
        word, index = _split(key)
        knob = knobs_of(device)[word]
        asked = _quantity(value, knob)
        if knob.is_output and hold_s is None and not sys.stdin.isatty():
            raise typer.BadParameter("an output is made safe when this command ends: say how long it is held, as "
                                     "--for '10 s'", param_hint="--for")  # fmt: skip
        made = knob.write(asked, index)
        typer.echo(f"{name}: {key} is {_values(made, knob.unit)}, {quantity(asked, knob.unit)} was asked for")
        if knob.is_output:
            hold_output(device, opened.clock, hold_s)


def hold_output(device: "Device", clock: "Clock", hold_s: float | None) -> None:
    """Return after the time, or at Ctrl-C."""
    if hold_s is not None:
        clock.sleep_until(clock.now_s() + hold_s)
    else:
        typer.echo(f"{device.name}: held until Ctrl-C", err=True)
        with suppress(KeyboardInterrupt):  # that is what it was held for
            threading.Event().wait()
    typer.echo(f"{device.name}: the outputs go to their safe state", err=True)


def _split(key: str) -> tuple[str, tuple[int, ...]]:
    word, *index = key.split(".")
    try:
        return word, tuple(int(k) for k in index)
    except ValueError as error:
        raise typer.BadParameter(f"{key!r}: an index is a number, as in voltage.2", param_hint="KEY") from error


def _quantity(text: str, knob: "Knob") -> float:
    from pnnlab.quantities import parse_quantity

    try:
        return parse_quantity(text, knob.unit)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="VALUE") from error


def hold_seconds(text: str | None) -> float | None:
    """Return how long an output is held; `None` until Ctrl-C."""
    from pnnlab.quantities import parse_quantity

    try:
        return None if text is None else parse_quantity(text, "s")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from error


def _values(found: "npt.NDArray[np.floating]", unit: str) -> str:
    """Return numbers as text; of many their range, and one number where all are equal."""
    numbers = found.ravel().tolist()
    if len(numbers) > 1 and len(set(numbers)) == 1:
        return f"{quantity(numbers[0], unit)} everywhere"
    if len(numbers) > _SHOWN:
        shape = " x ".join(str(n) for n in found.shape)
        return f"{quantity(min(numbers), unit)} to {quantity(max(numbers), unit)}, {shape} values"
    return ", ".join(quantity(number, unit) for number in numbers)
