"""What the transport costs: small queries and bulk readings beside the raw calls, measured in the same run.

    python scripts/bench_transport.py

A socket against raw pyvisa (pyvisa-py), and a pseudo-terminal against raw pyserial (not on Windows). The servers are
other processes, so that they do not share the interpreter with what is measured. Raw and ours take turns in many short
rounds, and the fastest ones are compared: on a machine with other work the rest tells of that work. Beside the time by
the clock stands what the processor spent in this process.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyvisa
import serial
from pyvisa.resources import MessageBasedResource

from pnnlab.transports import LinkOptions, Scpi, open_transport

BULK: Final = 1 << 19
Times = tuple[float, float, float, float]

ROUND: Final = 10
"""Queries of a round: so few that many rounds are over before the computer does something else."""
ALLOWED_US: Final = 20.0
ALLOWED_RATIO: Final = 0.95

_ANSWER: Final = f"""
block = b"#7%07d" % {BULK} + bytes({BULK}) + b"\\n"
def answer(message):
    return block if message == b"CURV?\\n" else b"+1.25000000E+00\\n" if message == b"VOLT?\\n" else b"A,B,1,2\\n"
"""

_SOCKET: Final = (
    _ANSWER
    + """
import socketserver
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while message := self.request.recv(4096):
            self.request.sendall(answer(message))
server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""
)

_TERMINAL: Final = (
    _ANSWER
    + """
import os, tty
ours, theirs = os.openpty()
tty.setraw(theirs)
print(os.ttyname(theirs), flush=True)
while True:
    data = answer(os.read(ours, 4096))
    at = 0
    while at < len(data):
        at += os.write(ours, data[at:at + 65536])
"""
)


@contextmanager
def served(code: str) -> Iterator[str]:
    """Run a server; give what it says first."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 (asked for above)
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def seconds(call: Callable[[], object], n: int) -> tuple[float, float]:
    """Return how long a call takes by the clock, and on the processor, in s."""
    begin_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(n):
        call()
    return (time.perf_counter() - begin_s) / n, (time.process_time() - cpu_s) / n


def compare(raw: Callable[[], object], ours: Callable[[], object], n: int, rounds: int) -> Times:
    """Return the fastest times of two calls that take turns, in s: raw and ours, by the clock and the processor."""
    pairs = [(seconds(raw, n), seconds(ours, n)) for _ in range(rounds)]
    fastest = [min(values) for side in zip(*pairs, strict=True) for values in zip(*side, strict=True)]
    return fastest[0], fastest[1], fastest[2], fastest[3]


def tell_query(name: str, times: Times) -> bool:
    """Print a line on small queries; return whether the bar is kept."""
    raw_us, raw_cpu_us, ours_us, ours_cpu_us = (1e6 * time_s for time_s in times)
    added = f"added {ours_us - raw_us:5.1f} us (allowed {ALLOWED_US:g})"
    cpu = f"on the processor {ours_cpu_us - raw_cpu_us:5.1f} us"
    print(f"{name:<28} raw {raw_us:6.1f} us    ours {ours_us:6.1f} us    {added}, {cpu}")
    return ours_us - raw_us <= ALLOWED_US


def tell_bulk(name: str, times: Times) -> bool:
    """Print a line on bulk readings; return whether the bar is kept."""
    raw, ours = (BULK / time_s / 1e6 for time_s in (times[0], times[2]))
    rate = f"rate {ours / raw:5.2f} of raw (at least {ALLOWED_RATIO:g})"
    print(f"{name:<28} raw {raw:5.0f} MB/s    ours {ours:5.0f} MB/s    {rate}")
    return ours / raw >= ALLOWED_RATIO


def bench_socket(rounds: int, bulks: int) -> bool:
    """Compare with pyvisa over a socket."""
    with served(_SOCKET) as port:
        resource = f"TCPIP::127.0.0.1::{port}::SOCKET"
        raw = pyvisa.ResourceManager("@py").open_resource(resource, read_termination="\n", write_termination="\n")
        assert isinstance(raw, MessageBasedResource)  # noqa: S101 (a socket is one)
        transport = open_transport(LinkOptions(resource=resource), who="bench")
        talk = Scpi(transport)
        talk.identity()

        def raw_block() -> object:
            return raw.query_binary_values("CURV?", datatype="B", container=np.ndarray, chunk_size=1 << 20)

        try:
            query = compare(lambda: float(raw.query("VOLT?")), lambda: talk.number("VOLT?"), ROUND, rounds)
            block = compare(raw_block, lambda: talk.samples("CURV?", BULK, "u1"), 1, bulks)
        finally:
            transport.close()
            raw.close()
    return all([tell_query("socket, pyvisa: query", query), tell_bulk("socket, pyvisa: 512 KiB block", block)])


def bench_serial(rounds: int, bulks: int) -> bool:
    """Compare with pyserial over a pseudo-terminal."""
    with served(_TERMINAL) as raw_port, served(_TERMINAL) as port:
        raw = serial.Serial(raw_port, timeout=2.0)
        transport = open_transport(LinkOptions(resource=port), who="bench")
        talk = Scpi(transport)
        talk.identity()

        def raw_query() -> float:
            raw.write(b"VOLT?\n")
            return float(raw.read_until(b"\n"))

        def raw_exact() -> float:
            raw.write(b"VOLT?\n")
            return float(raw.read(16))

        def raw_block() -> bytes:
            raw.write(b"CURV?\n")
            return bytes(raw.read(BULK + 10))

        def ours() -> float:
            return talk.number("VOLT?")

        try:
            line, exact = compare(raw_query, ours, ROUND, rounds), compare(raw_exact, ours, ROUND, rounds)
            block = compare(raw_block, lambda: talk.samples("CURV?", BULK, "u1"), 1, bulks)
        finally:
            transport.close()
            raw.close()
    lines = [tell_query("serial, read_until: query", line), tell_query("serial, read(16): query", exact)]
    return all([*lines, tell_bulk("serial, pyserial: 512 KiB", block)])


def main() -> int:
    """Measure; return 1 where a bar is not kept."""
    parser = argparse.ArgumentParser(description="cost of pnnlab.transports beside pyvisa and pyserial")
    parser.add_argument("--rounds", type=int, default=400, help="times that raw and ours take turns with queries")
    parser.add_argument("--bulks", type=int, default=80, help="times that they take turns with blocks")
    given = parser.parse_args()
    kept = [bench_socket(given.rounds, given.bulks)]
    if sys.platform != "win32":
        kept.append(bench_serial(given.rounds, given.bulks))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
