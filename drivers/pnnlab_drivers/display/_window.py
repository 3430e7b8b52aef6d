"""The process that keeps an SLM's window: `python -m pnnlab_drivers.display._window ORDER`.

Orders come as lines on the standard input (`show N`, `blank N`, N growing, and `end`), answers leave as JSON lines on
the standard output. The levels to show lie in a file that both processes map into their memory. When the input ends or
the process that started this one dies, the window goes blank and the process ends.
"""

import json
import mmap
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from pnnlab.errors import DeviceError
from pnnlab_drivers.display._desktop import Desktop, open_desktop
from pnnlab_drivers.display._monitor import Monitor

__all__ = ["Order", "main"]

_WATCH_S: Final = 0.25
"""How often it is looked whether monitor and window are still as they were."""
_AWAKE_S: Final = 20.0
_PLACED_S: Final = 3.0
"""How long the window manager may take to put the window into its place."""
_IDLE_S: Final = 0.05
"""Events of the system are answered as often as this at least; orders at once."""


@dataclass(frozen=True)
class Order:
    """What the window process is told at its start.

    Attributes:
        monitor: Where the window belongs.
        display: Name of an X display; `None` takes the session's.
        levels: File of the levels to show, one byte a pixel, row by row.
        blank_level: Level of all pixels where nothing is to be shown.
        vsync: Whether a new picture waits for the refresh.
    """

    monitor: Monitor
    display: str | None
    levels: str
    blank_level: int
    vsync: bool

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "Order":
        """Return what `as_text` has written."""
        told = json.loads(text)
        return cls(**(told | {"monitor": Monitor(**told["monitor"])}))


class _Window:
    """The window on its monitor.

    Mutable: `show` and `blank` change the picture, `look` finds faults.
    """

    def __init__(self, order: Order, desktop: Desktop) -> None:
        from pnnlab_drivers.display import _glass

        self._order, self._desktop = order, desktop
        monitor = order.monitor
        self._shape = (monitor.height, monitor.width)
        with Path(order.levels).open("rb") as file:
            self._map = mmap.mmap(file.fileno(), monitor.height * monitor.width, access=mmap.ACCESS_READ)
        self._levels: npt.NDArray[np.uint8] = np.frombuffer(self._map, np.uint8).reshape(self._shape)
        self._dark = np.full(self._shape, order.blank_level, np.uint8)
        self._glass = _glass.Glass(monitor, vsync=order.vsync)
        self.blank()
        self._glass.settle(_PLACED_S)
        self.blank()
        flaw = self._glass.painter.flaw() or self.look()
        if flaw:
            raise DeviceError(flaw)
        self.blank()

    @property
    def renderer(self) -> str:
        return self._glass.painter.renderer

    def show(self) -> None:
        self._glass.painter.show(self._levels)

    def blank(self) -> None:
        self._glass.painter.show(self._dark)

    def wait(self, timeout_s: float) -> None:
        """Answer the system's events; returns early when `wake` is called."""
        self._glass.wait(timeout_s)

    def look(self) -> str:
        """Return what has changed since the monitor was chosen; empty where nothing has."""
        chosen = self._order.monitor
        now = self._desktop.monitors()
        if chosen in now:
            return self._glass.displaced()
        same = [
            one for one in now
            if (one.connector, one.vendor, one.model, one.serial)
            == (chosen.connector, chosen.vendor, chosen.model, chosen.serial)
        ]  # fmt: skip
        if not same:
            return f"the monitor {chosen} was unplugged or switched off"
        return f"the monitor {chosen} has changed: it is {same[0]} {same[0].flaw}".rstrip()

    def close(self) -> None:
        self._glass.close()
        self._levels = self._dark
        self._map.close()


class _Orders:
    """Lines of the standard input, as they come; the end of it is an order, too."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._wake = wake
        threading.Thread(target=self._listen, daemon=True).start()

    def waiting(self) -> Sequence[str | None]:
        """Return those that have come; `None` is the end."""
        found = []
        while not self._lines.empty():
            found.append(self._lines.get())
        return found

    def end(self) -> None:
        """Behave as if the input had ended."""
        self._lines.put(None)
        self._wake()

    def _listen(self) -> None:
        # unbuffered: a thread that waits in a buffer's lock would keep the process from ending
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as lines:
            for line in lines:
                self._lines.put(line.decode())
                self._wake()
        self.end()


class _Service:
    """Carries out orders until their end.

    Mutable: `run` counts orders and remembers a fault.
    """

    def __init__(self, window: _Window, orders: _Orders, desktop: Desktop, out: IO[str]) -> None:
        self._window, self._orders, self._desktop, self._out = window, orders, desktop, out
        self._fault = ""
        self._last = 0
        self._owner = os.getppid()

    def run(self) -> None:
        watch_s = awake_s = time.monotonic()
        while True:
            self._window.wait(_IDLE_S)
            for line in self._orders.waiting():
                if line is None or line.startswith("end"):
                    return self._window.blank()
                self._obey(line)
            if os.getppid() != self._owner:
                return self._window.blank()  # a forked child of it may keep the input open
            now_s = time.monotonic()
            if now_s >= watch_s and not self._fault:
                watch_s = now_s + _WATCH_S
                if fault := self._window.look():
                    self._fault = fault
                    self._window.blank()
                    self._tell(fault=fault)
            if now_s >= awake_s:
                awake_s = now_s + _AWAKE_S
                self._desktop.keep_awake()

    def _obey(self, line: str) -> None:
        verb, _, text = line.partition(" ")
        number = int(text)
        if number < self._last:
            # given before the last one was, and overtaken by it: showing it now would undo a blank
            return self._tell(skipped=number)
        self._last = number
        if verb == "blank":
            self._window.blank()
        elif not self._fault:
            self._window.show()
        self._tell(done=number)

    def _tell(self, **what: object) -> None:
        tell(self._out, **what)


def tell(out: IO[str], **what: object) -> None:
    """Send one answer."""
    out.write(json.dumps(what) + "\n")
    out.flush()


def main(arguments: Sequence[str]) -> int:
    """Show what is ordered until the standard input ends."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # libraries may print
    # the process that gives the orders decides what Ctrl-C means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = Order.from_text(arguments[0])
    try:
        desktop = open_desktop(order.display)
        desktop.own_pixels()
        window = _Window(order, desktop)
    except Exception as error:
        what = str(error) if isinstance(error, DeviceError) else f"{type(error).__name__}: {error}"
        tell(out, fault=what)
        return 1
    from pnnlab_drivers.display._glass import wake

    orders = _Orders(wake)
    signal.signal(signal.SIGTERM, lambda *_: orders.end())
    try:
        tell(out, ready=window.renderer)
        _Service(window, orders, desktop, out).run()
    except BrokenPipeError:
        window.blank()  # who gave the orders is gone
    except Exception as error:
        tell(out, fault=f"{type(error).__name__}: {error}")
        return 1
    finally:
        window.close()
        desktop.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
