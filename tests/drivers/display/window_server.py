"""Window processes that are forked from one which has loaded all libraries: the kit opens a hundred windows.

Everything after the imports is what `python -m pnnlab_drivers.display._window` does.
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from pnnlab_drivers.display._window import Order, main


class ForkedWindow:
    """What the driver uses of a `subprocess.Popen`."""

    def __init__(self, server: socket.socket, order: Order) -> None:
        (orders, order_end), (answer_end, answers), (self._life, life_end) = os.pipe(), os.pipe(), os.pipe()
        told = json.dumps({"order": order.as_text(), "display": order.display}).encode()
        socket.send_fds(server, [told], [orders, answers, life_end])
        for end in (orders, answers, life_end):
            os.close(end)
        self.stdin, self.stdout = os.fdopen(order_end, "wb", 0), os.fdopen(answer_end, "rb", 0)
        self.pid = int(server.recv(64))

    def poll(self) -> int | None:
        return 0 if select.select([self._life], [], [], 0)[0] else None

    def wait(self, timeout: float | None = None) -> int:
        if not select.select([self._life], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("window", timeout or 0)
        return 0

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


@contextmanager
def window_server() -> Iterator[socket.socket]:
    """Give what `ForkedWindow` speaks to."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, __file__, str(theirs.fileno())]
    with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL) as process:
        theirs.close()
        yield ours
        ours.close()
        process.wait(20)


def serve(server: socket.socket) -> None:
    import pnnlab_drivers.display._glass
    import pnnlab_drivers.display._x11  # noqa: F401

    for library in ("libGL.so.1", "libLLVM-15.so.1"):
        try:
            ctypes.CDLL(library)
        except OSError:
            continue  # only slower
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        told, ends, _, _ = socket.recv_fds(server, 1 << 16, 3)
        if not told:
            return
        pid = os.fork()
        if not pid:
            order = json.loads(told)
            os.dup2(ends[0], 0)
            os.dup2(ends[1], 1)
            os.environ["DISPLAY"] = order["display"]
            os._exit(main([order["order"]]))
        for end in ends:
            os.close(end)
        server.send(str(pid).encode())


def forked(server: socket.socket, order: Order) -> "subprocess.Popen[bytes]":
    """Stand in for the driver's way to start the process."""
    return cast("subprocess.Popen[bytes]", ForkedWindow(server, order))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
