"""Instruments on a socket or a pseudo-terminal whose answers a test decides."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from pnnlab.transports import SerialLine, SocketLink, Timeouts, Transport, open_link, open_serial

IDENTITY = b"ACME,DAC8,17,1.0"

Answer = Callable[[bytes], bytes | list[bytes | float]]
"""From a message without its line feed to the bytes of an answer, or to parts of it and pauses in s."""


def scpi(message: bytes) -> bytes:
    """Answer the common queries of IEEE 488.2, and nothing else."""
    known = {b"*IDN?": IDENTITY, b"*SRE?": b"0", b"*OPC?": b"1", b"SYST:ERR?": b'0,"No error"'}
    answers = [known[part.lstrip(b":")] for part in message.split(b";") if part.lstrip(b":") in known]
    return b";".join(answers) + b"\n" if answers else b""


class Instrument:
    """Reads lines and answers them one after the other.

    Args:
        answer: What to answer; replaced by a test at will.
    """

    def __init__(self, answer: Answer = scpi) -> None:
        self.answer = answer
        self.heard: list[bytes] = []

    def serve(self, receive: Callable[[], bytes], send: Callable[[bytes], None]) -> None:
        """Answer until nothing comes any more."""
        kept = b""
        while came := receive():
            *lines, kept = (kept + came).split(b"\n")
            for line in lines:
                self.heard.append(line)
                answer = self.answer(line)
                for part in answer if isinstance(answer, list) else [answer]:
                    time.sleep(part) if isinstance(part, float) else send(part)


@contextmanager
def on_socket(instrument: Instrument) -> Iterator[int]:
    """Serve on the loopback, one client after the other; give the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(connection)
            with connection:
                try:
                    instrument.serve(lambda c=connection: c.recv(1 << 16), connection.sendall)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            wake(connection)
        thread.join(5)


def wake(connection: socket.socket) -> None:
    """Wake whoever reads from a socket."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def on_terminal(instrument: Instrument) -> Iterator[str]:
    """Serve on a pseudo-terminal; give the name of the port."""
    if sys.platform == "win32":
        pytest.skip("Windows has no pseudo-terminals that could stand for a serial port")
    import tty

    ours, theirs = os.openpty()
    tty.setraw(theirs)

    def receive() -> bytes:
        try:
            return os.read(ours, 1 << 16)
        except OSError:
            return b""

    def send(data: bytes) -> None:
        while data:
            data = data[os.write(ours, data) :]

    def serve() -> None:
        try:
            instrument.serve(receive, send)
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        os.close(theirs)
        thread.join(5)
        os.close(ours)


@contextmanager
def connected(instrument: Instrument, kind: str, timeouts: Timeouts) -> Iterator[Transport]:
    """Give a transport of the kind `socket`, `visa` or `serial` to an instrument."""
    if kind == "serial":
        with on_terminal(instrument) as port:
            transport = Transport(open_serial(port, SerialLine(grain_s=0.002)), who="dac", timeouts=timeouts)
            try:
                yield transport
            finally:
                transport.close()
        return
    with on_socket(instrument) as number:
        link = open_link(f"TCPIP::127.0.0.1::{number}::SOCKET")
        assert isinstance(link, SocketLink)
        if kind == "visa":
            link.close()
            link = plain_visa(f"TCPIP::127.0.0.1::{number}::SOCKET")
        transport = Transport(link, who="dac", timeouts=timeouts)
        try:
            yield transport
        finally:
            transport.close()


def plain_visa(resource: str, backend: str = "@py"):
    """Return a link that only uses calls of VISA, as another back end than pyvisa-py needs."""
    import pyvisa

    from pnnlab.transports._visa import VisaLink

    return VisaLink(pyvisa.ResourceManager(backend).open_resource(resource))
