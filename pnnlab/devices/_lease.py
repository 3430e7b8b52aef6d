"""The right of one process to use an instrument."""

import getpass
import hashlib
import json
import logging
import os
import re
import shlex
import socket
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pnnlab.errors import LeaseError

if TYPE_CHECKING:
    from filelock import FileLock

__all__ = ["Lease", "canonical_claim"]

_LOG = logging.getLogger(__name__)

_PATIENCE_S: Final = 0.3
"""A process that is just ending still holds its leases for a moment."""
_SERIAL_RESOURCE: Final = re.compile(r"ASRL(.+?)(?:::INSTR)?", re.IGNORECASE)
_SOCKETS: Final = (
    re.compile(r"TCPIP\d*::(?P<host>[^:]+)::(?P<port>\d+)::SOCKET", re.IGNORECASE),
    re.compile(r"socket://(?P<host>[^:/]+):(?P<port>\d+).*", re.IGNORECASE),
)


def canonical_claim(claim: str) -> str:
    """Return an address as all its spellings have it: VISA's and pyserial's, links to a port, large letters."""
    claim = claim.strip()
    for pattern in _SOCKETS:
        if match := pattern.fullmatch(claim):
            return f"tcp {match['host'].casefold()}:{int(match['port'])}"
    if match := _SERIAL_RESOURCE.fullmatch(claim):
        port = match[1]
        claim = f"COM{port}" if port.isdecimal() and os.name == "nt" else port
    if os.sep in claim and os.path.exists(claim):
        return os.path.realpath(claim)
    return re.sub(r"^(tcpip|usb|gpib)0::", r"\1::", claim.casefold()).removesuffix("::instr")


@dataclass(frozen=True)
class _Holder:
    """Who holds a lease."""

    claim: str
    device: str
    pid: int
    host: str
    user: str
    command: str
    since: str

    @classmethod
    def here(cls, claim: str, device: str) -> Self:
        """Return this process."""
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        return cls(claim, device, os.getpid(), socket.gethostname(), _user(), shlex.join(sys.argv)[:200], since)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} as {self.device!r} since {self.since} ({self.user}: {self.command})"


class Lease:
    """This process's right to use one instrument, until `release` or until the process ends, however it ends.

    Each thing that is claimed is a lock that the operating system keeps: a process that is killed holds none. The
    file of the lock stays. A note beside it tells who holds it. Leases count for one user's processes on one computer.

    Mutable: `claim` and `release` change what is held.

    Args:
        device: The device's name in the bench file, for the note and for messages.
        folder: Where the locks lie; `None` takes the user's folder for such things.
    """

    def __init__(self, device: str, folder: Path | None = None) -> None:
        self._device = device
        self._folder = folder
        self._held: dict[str, FileLock] = {}

    def claim(self, what: Iterable[str]) -> None:
        """Take things for this process, in addition to those held; all of them or no more than before.

        Args:
            what: Addresses, or other names of what can be used by one process only; spellings of one address are one.

        Raises:
            LeaseError: Another process holds one of them, or this process does as another device.
        """
        keys = {canonical_claim(claim): claim for claim in what}
        taken: list[str] = []
        try:
            for key in sorted(keys.keys() - self._held.keys()):
                self._take(key, keys[key])
                taken.append(key)
        except BaseException:
            self._drop(taken)
            raise

    def release(self) -> None:
        """Give back all that is held; may be called twice."""
        self._drop(list(self._held))

    def _take(self, key: str, claim: str) -> None:
        from filelock import FileLock, Timeout  # drivers are imported to look at them, and then need no locks

        path = self._path(key)
        # closing may happen in another thread than opening
        lock = FileLock(path, timeout=_PATIENCE_S, thread_local=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(poll_interval=0.02)
        except Timeout as error:
            raise LeaseError(
                f"{self._device}: {claim} is in use by {_holder(path) or 'another process'}; close it there or end "
                "that process, then try again; nothing was sent"
            ) from error
        except OSError as error:
            raise LeaseError(
                f"{self._device}: {claim} cannot be kept from other processes: {error}; make the folder "
                f"{path.parent} writable; nothing was sent"
            ) from error
        self._held[key] = lock
        _note(path, _Holder.here(claim, self._device))

    def _drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            lock = self._held.pop(key)
            if lock.is_locked:  # not so in a forked child, which inherits the object and not the right
                _beside(self._path(key)).unlink(missing_ok=True)
                lock.release()

    def _path(self, key: str) -> Path:
        if self._folder is None:
            from platformdirs import user_state_path

            # a home folder may be shared by several computers, their ports are not
            self._folder = user_state_path("pnnlab", appauthor=False) / "leases" / socket.gethostname()
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.lock"


def _note(path: Path, holder: _Holder) -> None:
    """Write who holds a lock; without the note the lock is as good."""
    beside = _beside(path)
    try:
        aside = beside.with_suffix(f".{os.getpid()}")
        aside.write_text(json.dumps(asdict(holder)), encoding="utf-8")
        aside.replace(beside)
    except OSError as error:
        _LOG.debug("%s: %s", beside, error)


def _holder(path: Path) -> _Holder | None:
    """Return who holds a lock, as far as it is told."""
    try:
        return _Holder(**json.loads(_beside(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _beside(path: Path) -> Path:
    """Return the file with the note: what is locked cannot be read on every system."""
    return path.with_suffix(".json")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such entry, as in a container
        return "unknown user"
