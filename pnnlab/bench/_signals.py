"""Signals that end a process, answered with a clean exit while outputs are live."""

import math
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

__all__ = ["ExitSignals"]

_NAMES: Final = ("SIGTERM", "SIGHUP")
"""What a scheduler, a shutdown and a closed terminal send; Ctrl-C is an exception already."""
_TOGETHER_S: Final = 1.0
"""Signals within this time are one demand: who ends a process often tells it, and then its whole group."""

Handler = Callable[[int, FrameType | None], object] | int | None


class ExitSignals:
    """Turns an ending signal into `SystemExit(128 + number)` after calling `make_safe`.

    What comes within a second of it is the same demand. A later one, while `make_safe` still runs, leaves the device
    behind that it waits for.

    Only the process that installed it answers so: a forked worker inherits the handler together with the open
    connections, and must end without a word to the instruments.

    Mutable: `install` and `restore` change the process's handlers.

    Args:
        make_safe: What to do before leaving; it may run in the middle of anything else that the main thread does.
    """

    def __init__(self, make_safe: Callable[[], object]) -> None:
        self._make_safe = make_safe
        self._previous: dict[int, Handler] = {}
        self._process = 0
        self._answering = False
        self._heard_s = -math.inf

    def install(self) -> None:
        """Take over the signals; does nothing outside the main thread, where Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._process = os.getpid()
        for name in _NAMES:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            # who started us with nohup wants the signal ignored
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._answer)

    def restore(self) -> None:
        """Give the signals back, except where somebody has taken them over since."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._answer:
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous.clear()

    def _answer(self, number: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() != self._process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if time.monotonic() - self._heard_s < _TOGETHER_S:
            return
        self._heard_s = time.monotonic()
        if self._answering:
            # a device hangs while it is made safe: this leaves it behind, and the others get their turn
            raise SystemExit(128 + number)
        self._answering = True
        try:
            self._make_safe()
        finally:
            self._answering = False
            raise SystemExit(128 + number)
