"""Everything that went to an instrument and came from it, in a file of JSON lines."""

import base64
import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pnnlab.errors import RecordError
from pnnlab.transports._link import Link, SilenceError

__all__ = ["Exchange", "RecordedLink", "Traffic", "exchanges", "read_traffic"]

_TEXT: Final = frozenset(range(32, 127)) | frozenset(b"\t\r\n")
_BEGINNING: Final = 40


@dataclass(frozen=True)
class Exchange:
    """A message and what came after it, before the next one.

    Attributes:
        sent: The message, terminator included; empty for what an instrument says first.
        got: The answer, terminator included; empty where there was none.
    """

    sent: bytes
    got: bytes


class Traffic:
    """A file that grows by a line for everything that is told to it; a killed program loses nothing of it.

    A line is a JSON object. `at_s` are the seconds since the first one; `sent` and `got` are bytes as text, or
    `sent_base64` and `got_base64` where they are none, with their number and the text that they begin with.

    Args:
        file: Where to; lines are added to a file that is there.
        resource: The instrument, for the first line.
    """

    def __init__(self, file: str | Path, resource: str) -> None:
        self.file = Path(file)
        self._begin_s = time.monotonic()
        self._lock = threading.Lock()
        try:
            self._lines = self.file.open("a", encoding="utf-8", buffering=1, newline="\n")
        except OSError as error:
            raise RecordError(f"{file}: traffic cannot be written there: {error}; name another file") from error
        self.tell({"resource": resource, "begun": datetime.now(UTC).isoformat(timespec="seconds")})

    def tell(self, entry: Mapping[str, object]) -> None:
        """Add a line."""
        with self._lock:
            if not self._lines.closed:
                at_s = round(time.monotonic() - self._begin_s, 6)
                self._lines.write(json.dumps({"at_s": at_s, **entry}) + "\n")

    def tell_bytes(self, way: str, data: bytes) -> None:
        """Add a line for bytes that were `sent` or `got`."""
        if not data:
            return
        if _TEXT.issuperset(data):
            self.tell({way: data.decode("ascii")})
            return
        text = next((i for i, byte in enumerate(data) if byte not in _TEXT), len(data))
        coded = base64.b64encode(data).decode("ascii")
        beginning = data[: min(text, _BEGINNING)].decode("ascii")
        self.tell({f"{way}_base64": coded, "bytes": len(data), "begins": beginning})

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            self._lines.close()


class RecordedLink:
    """A link whose traffic goes into a file.

    Args:
        link: Where the bytes really go.
        traffic: The file; closed with the link.
    """

    def __init__(self, link: Link, traffic: Traffic) -> None:
        self.name = link.name
        self._link, self._traffic = link, traffic

    def write(self, data: bytes, timeout_s: float) -> None:
        """See `Link.write`."""
        self._traffic.tell_bytes("sent", data)
        try:
            self._link.write(data, timeout_s)
        except SilenceError:
            self._traffic.tell({"silence": "the message was not taken", "timeout_s": timeout_s})
            raise

    def read_line(self, terminator: bytes, limit: int, timeout_s: float) -> bytes:
        """See `Link.read_line`."""
        try:
            line = self._link.read_line(terminator, limit, timeout_s)
        except SilenceError as silence:
            raise self._silent(silence, timeout_s) from None
        self._traffic.tell_bytes("got", line + terminator)
        return line

    def read(self, n: int, timeout_s: float) -> bytes:
        """See `Link.read`."""
        try:
            data = self._link.read(n, timeout_s)
        except SilenceError as silence:
            raise self._silent(silence, timeout_s) from None
        self._traffic.tell_bytes("got", data)
        return data

    def read_some(self, timeout_s: float) -> bytes:
        """See `Link.read_some`."""
        data = self._link.read_some(timeout_s)
        self._traffic.tell_bytes("got", data)
        return data

    def waiting(self) -> bool:
        """See `Link.waiting`."""
        return self._link.waiting()

    def clear(self) -> bool:
        """See `Link.clear`."""
        self._traffic.tell({"cleared": self.name})
        return self._link.clear()

    def close(self) -> None:
        """See `Link.close`."""
        try:
            self._link.close()
        finally:
            self._traffic.close()

    def _silent(self, silence: SilenceError, timeout_s: float) -> SilenceError:
        self._traffic.tell({"silence": f"{len(silence.partial)} bytes came", "timeout_s": round(timeout_s, 6)})
        return silence


def read_traffic(file: str | Path) -> list[dict[str, object]]:
    """Return the lines of a file of traffic.

    Raises:
        RecordError: There is no such file, or it is none of these.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line]
    except (OSError, ValueError) as error:
        raise RecordError(f"{file}: this is no file of recorded traffic: {error}") from error
    if not entries or not all(isinstance(entry, dict) and "at_s" in entry for entry in entries):
        raise RecordError(f"{file}: this is no file of recorded traffic: a line has no 'at_s'")
    return entries


def exchanges(entries: Iterable[Mapping[str, object]]) -> list[Exchange]:
    """Return the messages of recorded traffic with their answers, in their order."""
    found: list[Exchange] = []
    for entry in entries:
        sent, got = _bytes(entry, "sent"), _bytes(entry, "got")
        if sent:
            found.append(Exchange(sent, b""))
        elif got and found:
            found[-1] = Exchange(found[-1].sent, found[-1].got + got)
        elif got:
            found.append(Exchange(b"", got))
    return found


def _bytes(entry: Mapping[str, object], way: str) -> bytes:
    text, coded = entry.get(way, ""), entry.get(f"{way}_base64", "")
    return str(text).encode("ascii") + base64.b64decode(str(coded))
