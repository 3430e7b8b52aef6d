"""The driver's end of the process that keeps an SLM's window."""

import contextlib
import json
import mmap
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

import pnnlab
import pnnlab_drivers
from pnnlab.errors import DeviceError
from pnnlab_drivers.display._monitor import Monitor
from pnnlab_drivers.display._window import Order

__all__ = ["WindowLink"]

_START_S: Final = 20.0
"""How long the window may take to appear: Python, graphics driver, window manager."""
_SHOW_S: Final = 3.0
"""How long a picture may take to be shown; a compositor shows hidden windows about once a second."""
_END_S: Final = 3.0

if sys.platform == "win32":
    _APART: Final = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
else:
    _APART: Final = 0


class WindowLink:
    """Starts the window's process, hands levels to it, and hears what it tells.

    Mutable: numbers of orders grow, answers are remembered. Orders may come from several threads, and from a signal's
    answer in the midst of another order.

    Args:
        who: The device, for messages.
        monitor: Where the window belongs.
        display: Name of an X display; `None` takes the session's.
        blank_level: Level of all pixels where nothing is to be shown.
        vsync: Whether a new picture waits for the refresh.

    Raises:
        DeviceError: No window that covers the monitor pixel on pixel came up.
    """

    def __init__(self, who: str, monitor: Monitor, *, display: str | None, blank_level: int, vsync: bool) -> None:
        self._who, self._monitor = who, monitor
        self._changed = threading.Condition()
        self._number = 0
        self._obeyed: dict[int, bool] = {}
        self._fault = self._renderer = ""
        self._ended = False
        shape = (monitor.height, monitor.width)
        handle, path = tempfile.mkstemp(prefix="pnnlab-slm-", suffix=".levels")
        self._path = Path(path)
        self._file = os.fdopen(handle, "r+b")
        self._file.truncate(shape[0] * shape[1])
        self._map = mmap.mmap(self._file.fileno(), shape[0] * shape[1])
        self._levels: npt.NDArray[np.uint8] = np.frombuffer(self._map, np.uint8).reshape(shape)
        order = Order(monitor, display, path, blank_level, vsync)
        self._process = _start(order)
        threading.Thread(target=self._listen, name=f"{who} window", daemon=True).start()
        try:
            with self._changed:
                came = self._changed.wait_for(lambda: self._renderer or self._fault or self._ended, _START_S)
            self._raise_fault()
            if not came:
                raise DeviceError(f"{who}: no window came up on {monitor} within {_START_S:g} s")
        except BaseException:
            self.close()
            raise
        if os.name == "posix":
            self._path.unlink(missing_ok=True)  # what is mapped stays, and nothing is left if we are killed

    @property
    def renderer(self) -> str:
        """Return what draws."""
        return self._renderer

    def reserve(self) -> int:
        """Return the number of an order that is to be given; one that was reserved later overtakes it."""
        with self._changed:
            self._number += 1
            return self._number

    def show(self, levels: npt.NDArray[np.uint8], number: int) -> bool:
        """Show levels of shape `(h, w)`; return whether they were, or a later order had been given.

        Raises:
            DeviceError: The monitor has changed or gone, or the window has.
        """
        self._raise_fault()
        np.copyto(self._levels, levels)
        obeyed = self._give("show", number)
        self._raise_fault()
        return obeyed

    def blank(self) -> None:
        """Show the blank level, whatever was ordered before.

        Raises:
            DeviceError: The window's process has ended.
        """
        self._give("blank", self.reserve())

    def close(self) -> None:
        """End the window's process; the window goes blank first."""
        with contextlib.suppress(OSError):
            _input(self._process).write(b"end\n")  # closing alone is no end where a forked child has the pipe, too
        with contextlib.suppress(OSError):
            _input(self._process).close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with self._changed:
            self._changed.wait_for(lambda: self._ended, _END_S)
        _output(self._process).close()
        self._levels = np.empty((0, 0), np.uint8)
        self._map.close()
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _give(self, verb: str, number: int) -> bool:
        """Give an order and wait for its answer; return whether it was obeyed, or a later one had been."""
        with contextlib.suppress(OSError):  # its end is told below
            # one write of few bytes without a buffer: no other order comes between
            _input(self._process).write(f"{verb} {number}\n".encode())
        with self._changed:
            self._changed.wait_for(lambda: number in self._obeyed or self._ended, _SHOW_S)
            if number in self._obeyed:
                return self._obeyed.pop(number)
            if not self._ended:
                self._fault = f"the window on {self._monitor} did not answer within {_SHOW_S:g} s"
        self._raise_fault()
        return False

    def _raise_fault(self) -> None:
        if self._fault or self._ended:
            what = self._fault or (
                f"the process of the window on {self._monitor} has ended (exit status {self._process.poll()}), the "
                "monitor shows the desktop"
            )
            raise DeviceError(f"{self._who}: {what}")

    def _listen(self) -> None:
        """Take answers until their end."""
        with contextlib.suppress(OSError, ValueError):
            for line in _output(self._process):
                told = json.loads(line)
                with self._changed:
                    self._fault = self._fault or told.get("fault", "")
                    self._renderer = told.get("ready", self._renderer)
                    self._obeyed.update({told[key]: key == "done" for key in ("done", "skipped") if key in told})
                    self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def _start(order: Order) -> "subprocess.Popen[bytes]":
    """Start the process; Ctrl-C in a terminal does not reach it."""
    # this package, wherever it was found, and nothing that lies in the present folder under a library's name
    command = [sys.executable, "-P", "-m", "pnnlab_drivers.display._window", order.as_text()]
    places = [str(Path(each.__file__ or "").parents[1]) for each in (pnnlab, pnnlab_drivers)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")])}
    if order.display is not None:
        environment["DISPLAY"] = order.display
    return subprocess.Popen(  # noqa: S603 (this interpreter, a module of ours)
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, env=environment,
        start_new_session=os.name == "posix", creationflags=_APART,
    )  # fmt: skip


def _input(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdin is not None  # noqa: S101 (a pipe)
    return process.stdin


def _output(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdout is not None  # noqa: S101 (a pipe)
    return process.stdout
