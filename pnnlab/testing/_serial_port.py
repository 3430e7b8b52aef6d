"""A fake instrument at a serial port."""

import os
import select
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from pnnlab.testing._faults import Faults
from pnnlab.testing._framing import Framing
from pnnlab.testing._tcp import TcpInstrument
from pnnlab.testing._wire import GRAIN_S, DropError, WireInstrument

__all__ = ["SerialInstrument"]

_CHUNK: Final = 1 << 16


class TerminalInstrument(WireInstrument):
    """A fake instrument at a pseudo-terminal, which is a serial port to every program; see `WireInstrument`.

    Its address is a link, so that it stays the same when it is plugged in again.
    """

    def __init__(
        self, instrument: Callable[[bytes], bytes | None], *, framing: Framing | None = None,
        reset: Callable[[], bytes] | None = None, faults: Faults | None = None, boot_s: float = 0.05,
    ) -> None:  # fmt: skip
        super().__init__(instrument, framing=framing, reset=reset, faults=faults, boot_s=boot_s)
        self._folder = tempfile.TemporaryDirectory(prefix="port")
        self._link = Path(self._folder.name) / "tty"
        self._thread: threading.Thread | None = None
        self._connected = False

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self._folder.cleanup()

    @property
    def address(self) -> str:
        """See `WireInstrument.address`: the name of the port."""
        return str(self._link)

    @property
    def connected(self) -> bool:
        """See `WireInstrument.connected`."""
        return self._connected

    def _begin(self) -> None:
        ours = self._new_port()
        self._thread = threading.Thread(target=self._serve, args=(ours,), daemon=True)
        self._thread.start()

    def _end(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._link.unlink(missing_ok=True)

    def _new_port(self) -> int:
        import tty

        ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        fresh = self._link.with_suffix(".fresh")
        fresh.symlink_to(os.ttyname(theirs))
        fresh.replace(self._link)  # at once: there is no moment without a port
        os.close(theirs)  # held by nobody: so it is seen when somebody opens it
        return ours

    def _serve(self, ours: int) -> None:
        while not self._ended.is_set():
            with suppress(DropError):
                self._serve_port(ours)
            gone = ours
            if not self._ended.is_set():
                ours = self._new_port()  # there before the other is gone: a client that finds it gone opens it again
            os.close(gone)

    def _serve_port(self, ours: int) -> None:
        self._connected, kept = False, bytearray()
        while not self._ended.is_set():
            came = self._read(ours)
            if came is None:
                self._connected = False
                kept.clear()
                time.sleep(GRAIN_S / 10)
                continue
            if not self._connected:
                self._connected = True
                self._greet(lambda data: self._send(ours, data), lambda: self._read(ours))
                came = b"" if self.faults.reset_on_open else came
            kept += came
            self._hear(kept, lambda data: self._send(ours, data))

    @staticmethod
    def _read(ours: int) -> bytes | None:
        """Return what has come; nothing if nothing has, `None` if nobody has opened the port."""
        if not select.select([ours], [], [], GRAIN_S)[0]:
            return b""
        try:
            return os.read(ours, _CHUNK) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def _send(self, ours: int, data: bytes) -> None:
        while data and not self._ended.is_set():
            try:
                data = data[os.write(ours, data) :]
            except BlockingIOError:
                time.sleep(GRAIN_S / 10)
            except OSError:
                return


class _SocketAsPort(TcpInstrument):
    """What stands for a serial port where there are no pseudo-terminals."""

    @property
    def address(self) -> str:
        """See `WireInstrument.address`: an URL that pyserial opens as it does a port."""
        return f"socket://127.0.0.1:{self.port}"


SerialInstrument: Final[type[WireInstrument]] = _SocketAsPort if sys.platform == "win32" else TerminalInstrument
"""A fake instrument at a serial port; on Windows a socket stands for the port."""
