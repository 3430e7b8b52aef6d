"""A device at an address, and a process of its own that opens it and holds it until it is told to end."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pnnlab.devices import Device, DeviceOptions, Identity, RealClock

ROOT = Path(__file__).parents[2]


class Options(DeviceOptions):
    address: str
    serial: str = ""


class Leased(Device):
    """An instrument that writes down what it is asked for."""

    Options = Options
    options: Options

    def _claims(self) -> Sequence[str]:
        return (self.options.address,)

    def _open(self) -> None:
        self.heard = ["open"]

    def _identify(self) -> Identity:
        return Identity("Acme", "One", self.options.serial)

    def _close(self) -> None:
        """Nothing to let go."""

    def _make_safe(self) -> None:
        """Nothing goes out."""


def leased(address: str, name: str = "stage", serial: str = "") -> Leased:
    return Leased(name, Options(address=address, serial=serial), clock=RealClock())


@contextmanager
def holder(address: str, serial: str = "") -> Iterator[subprocess.Popen[str]]:
    """Give a process that has opened the device, and end it."""
    code = "import sys; from tests.devices.leased import leased; d = leased(*sys.argv[1:]).open()"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}; print('open', flush=True); sys.stdin.readline(); d.close()", address, "other",
         serial],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.kill()
