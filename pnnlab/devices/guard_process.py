"""The process that makes outputs safe when the program that set them was killed; see `Guard` in `pnnlab.bench`.

It is told on its standard input what to look after. Where that ends, or where its parent is gone, it opens the devices
itself and makes them safe. Whose work ended well kills it instead.
"""

import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pnnlab.devices import Device, DeviceOptions, ExpectedIdentity, RealClock
from pnnlab.errors import LeaseError, PnnlabError

__all__ = ["Guarded"]

_LOG = logging.getLogger("pnnlab.guard")
_LOOK_S: Final = 0.5
"""How often it looks whether its parent is still there: children of the parent may keep the input open."""
_LEASE_S: Final = 5.0
"""How long it tries to get a device that somebody else holds; a new run of the script may, and is then in charge."""
_PATIENCE_S: Final = 30.0
"""How long it tries to get a device that does not open; and how long making safe may take then."""


@dataclass(frozen=True)
class Guarded:
    """A device whose outputs hold their value, as far as it is needed to make them safe."""

    name: str
    driver: type[Device]
    options: DeviceOptions
    identity: ExpectedIdentity

    def make_safe(self) -> None:
        """Open the device, make its outputs safe, and close it.

        It is tried for some time: what the program has left behind may hold the instrument a little longer. A new run
        of the program that holds it is in charge, and is left alone.
        """
        device = self.driver(self.name, self.options, clock=RealClock(), expected=self.identity)
        begin_s = time.monotonic()
        while True:
            try:
                device.open()
                break
            except PnnlabError as error:
                patience_s = _LEASE_S if isinstance(error, LeaseError) else _PATIENCE_S
                if time.monotonic() - begin_s > patience_s:
                    raise
                time.sleep(_LOOK_S)
        device.close()


def main(parent: int) -> None:
    """Wait, and act where that is needed.

    Args:
        parent: The process that is looked after.
    """
    devices = _loaded(pickle.load(sys.stdin.buffer))  # noqa: S301 (from our own parent)
    _log_to_file()
    _wait_for_the_end(parent)
    _LOG.warning("process %d ended without closing its bench", parent)
    # side by side: one that hangs keeps no other one live
    threads = [threading.Thread(target=_make_safe, args=(device,), daemon=True) for device in devices]
    for thread in threads:
        thread.start()
    deadline_s = time.monotonic() + 2 * _PATIENCE_S
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
    os._exit(0)


def _loaded(specs: Sequence[bytes]) -> list[Guarded]:
    """Import the drivers now: a program that was killed for want of memory leaves little time."""
    devices = []
    for spec in specs:
        try:
            devices.append(pickle.loads(spec))  # noqa: S301
        except Exception as error:  # importing runs the driver's own code
            with suppress(OSError):  # killed meanwhile
                print(f"a driver does not import in the guard process: {error}", flush=True)  # noqa: T201
    return devices


def _wait_for_the_end(parent: int) -> None:
    ended = threading.Event()

    def read() -> None:
        sys.stdin.buffer.read()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    # on Windows a process keeps the number of its parent for ever; there the input ends with it
    while not ended.wait(_LOOK_S) and os.getppid() == parent:
        pass


def _make_safe(device: Guarded) -> None:
    try:
        device.make_safe()
        _LOG.warning("%s: its outputs were made safe", device.name)
    except Exception as error:  # whatever it is, it is told, and the others have their turn
        _LOG.error("%s: its outputs could not be made safe: %s: %s", device.name, type(error).__name__, error)


def _log_to_file() -> None:
    from platformdirs import user_log_path

    handlers: list[logging.Handler] = [logging.StreamHandler()]
    try:
        folder = user_log_path("pnnlab", appauthor=False, ensure_exists=True)
        handlers.append(logging.FileHandler(folder / "guard.log", encoding="utf-8"))
    except OSError:
        pass  # it is told on the terminal alone
    logging.basicConfig(
        level=logging.WARNING, handlers=handlers, format="%(asctime)s pnnlab guard (%(process)d): %(message)s"
    )


if __name__ == "__main__":
    # pickled classes are those of the module, and not those of a second one that is run
    from pnnlab.devices.guard_process import main as run

    run(int(sys.argv[1]))
