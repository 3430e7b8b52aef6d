"""The commands `pnnlab devices`."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from pnnlab.cli._device_preview import preview_device
from pnnlab.cli._device_scan import scan_devices
from pnnlab.cli._device_test import print_matrix, run_self_test
from pnnlab.cli._device_values import get_value, set_value
from pnnlab.cli._options import BENCH, BenchOption, JsonOption, ListingGroup
from pnnlab.cli._terminal import print_json, print_table
from pnnlab.cli._text import quantity, setting

if TYPE_CHECKING:
    from pnnlab.bench import Bench
    from pnnlab.devices import Device, Limits

__all__ = ["devices"]

devices = typer.Typer(
    cls=ListingGroup,
    rich_markup_mode=None,
    help="Show, find, test and set devices, or list the drivers.",
)
devices.command("scan")(scan_devices)
devices.command("test")(run_self_test)
devices.command("preview")(preview_device)
devices.command("get")(get_value)
devices.command("set")(set_value)
devices.command("matrix")(print_matrix)


@devices.command("list")
def list_devices(*, bench: BenchOption = BENCH, as_json: JsonOption = False) -> None:
    """Open a bench, show its devices and close it; what `pnnlab devices` does."""
    from pnnlab.bench import Bench

    with Bench.from_file(bench) as opened:
        found = {name: (_driver(opened, name), device) for name, device in opened.devices.items()}
        facts = [_facts(driver, device) for driver, device in found.values()]
        rows = [_row(driver, device) for driver, device in found.values()]
    if as_json:
        print_json(facts)
    else:
        columns = ["device", "what it is", "settings", "limits in force"]
        print_table(columns, rows, folding=columns[1:])


@devices.command("drivers")
def list_drivers(*, as_json: JsonOption = False) -> None:
    """List the installed drivers and plants; none is imported."""
    from pnnlab.bench import installed_drivers, installed_plants

    kinds = {"driver": installed_drivers(), "plant": installed_plants()}
    if as_json:
        print_json([{"kind": kind, **asdict(entry)} for kind, entries in kinds.items() for entry in entries])
        return
    rows = [
        [entry.name, kind, entry.target, entry.distribution] for kind, entries in kinds.items() for entry in entries
    ]
    if not rows:
        typer.echo("no drivers are installed; a bench file can name your own as module:Class")
        return
    print_table(["name", "kind", "where it is", "distribution"], rows, folding=["where it is"])


def _driver(bench: "Bench", name: str) -> str:
    return str(bench.file.document.at(("devices", name, "driver")))


def _roles(device: "Device") -> list[str]:
    from pnnlab.devices import roles_of

    return roles_of(type(device))


def _limits(device: "Device") -> dict[str, tuple[str, "Limits"]]:
    """Return unit and limits of every quantity that the device's roles can limit."""
    units: dict[str, str] = {}
    for base in reversed(type(device).__mro__):
        units |= vars(base).get("quantities", {})
    return {name: (unit, device.limits(name)) for name, unit in units.items()}


def _facts(driver: str, device: "Device") -> dict[str, object]:
    return {
        "name": device.name,
        "driver": driver,
        "roles": _roles(device),
        "identity": asdict(device.identity),
        "state": str(device.state),
        "settings": device.settings(),
        "limits": {name: {"unit": unit, **asdict(limits)} for name, (unit, limits) in _limits(device).items()},
    }


def _row(driver: str, device: "Device") -> list[str]:
    who = device.identity
    named = {"serial": who.serial, "firmware": who.firmware}
    identity = [f"{who.vendor} {who.model}".strip(), *(f"{key} {text}" for key, text in named.items() if text)]
    limits = [text for name, (unit, found) in _limits(device).items() if (text := _limit(name, unit, found))]
    return [
        # a module and its class on two lines: the table is wide enough
        "\n".join([device.name, driver.replace(":", ":\n")]),
        "\n".join([", ".join(_roles(device)), *identity, str(device.state)]),
        "\n".join(setting(key, value) for key, value in device.settings().items()),
        "\n".join(limits) or "none",
    ]


def _limit(name: str, unit: str, limits: "Limits") -> str:
    """Return limits as text; empty where there are none."""
    low, high, slew = limits.low, limits.high, limits.slew_per_s
    parts = []
    if math.isfinite(low) or math.isfinite(high):
        parts.append(f"{quantity(low, unit)} to {quantity(high, unit)}")
    if math.isfinite(slew):
        parts.append(f"{quantity(slew, unit or '1')}/s")
    return f"{name} {', '.join(parts)}" if parts else ""
