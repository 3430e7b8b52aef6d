"""A process that makes outputs safe when this one is killed."""

import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from pnnlab.bench._config import DeviceConfig
from pnnlab.devices.guard_process import Guarded

__all__ = ["Guard"]

_LOG = logging.getLogger(__name__)

_DETACHED: Final[Mapping[str, Any]] = (
    {"creationflags": 0x00000200 | 0x08000000} if sys.platform == "win32" else {"start_new_session": True}
)
"""Ctrl-C and a closed terminal are for this process alone; on Windows a new process group, and no window."""


class Guard:
    """A process that makes outputs safe when this one is killed, where nothing in it can act any more.

    It looks after real devices whose outputs hold their value by themselves. `start` begins it, `dismiss` ends it once
    all is closed. Killed on the way, this process leaves the guard with the end of its input: it then opens the
    devices itself and makes them safe.

    Mutable: it holds the process.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._dismissed = False

    def start(self, devices: Iterable[DeviceConfig]) -> None:
        """Begin to look after those devices that need it; does nothing where none does."""
        wanted = [device for device in devices if device.cls.holds_outputs and not device.cls.needs_plant]
        specs = [spec for device in wanted if (spec := _pickled(device)) is not None]
        if not specs:
            return
        command = [sys.executable, "-m", "pnnlab.devices.guard_process", str(os.getpid())]
        here = {**os.environ, "PYTHONPATH": os.pathsep.join(folder or os.curdir for folder in sys.path)}
        try:
            process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=here, **_DETACHED
            )
            if process.stdin is not None:
                # before the first setpoint: killed from now on, this process leaves somebody who knows what to do
                process.stdin.write(pickle.dumps(specs))
                process.stdin.flush()
        except OSError as error:
            _LOG.warning("outputs are not guarded: the guard process does not start: %s", error)
            return
        self._process, self._dismissed = process, False
        threading.Thread(target=self._attend, args=(process,), daemon=True).start()

    def dismiss(self) -> None:
        """End the process, for all outputs are safe; may be called twice."""
        process, self._process, self._dismissed = self._process, None, True
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def _attend(self, process: "subprocess.Popen[bytes]") -> None:
        """Tell whoever reads the log if the process cannot do what it is for."""
        with suppress(OSError, ValueError):  # dismissed meanwhile
            for line in process.stdout or ():
                _LOG.warning("outputs are not guarded: %s", line.decode(errors="replace").strip())
        if not self._dismissed:
            _LOG.warning("outputs are not guarded any more: the guard process has ended")


def _pickled(device: DeviceConfig) -> bytes | None:
    try:
        return pickle.dumps(Guarded(device.name, device.cls, device.options, device.identity))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        _LOG.warning("%s: its outputs are not guarded: %s", device.name, error)
        return None
