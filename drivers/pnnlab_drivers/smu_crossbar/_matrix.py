"""A switch matrix: which crosspoints are closed, asked of the instrument before any voltage is put on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from pnnlab.devices import Identity
from pnnlab.errors import DeviceError
from pnnlab.transports import Scpi, Transport, Tsp, Wait

__all__ = ["Matrix", "ScpiMatrix", "TspMatrix"]


class Matrix(ABC):
    """Crosspoints of a switch matrix, by the names that the instrument gives them.

    Args:
        transport: The conversation.
        points: All crosspoints that are used.
    """

    def __init__(self, transport: Transport, points: Sequence[str]) -> None:
        self._who = transport.who
        self._points = tuple(dict.fromkeys(points))

    def close_only(self, points: Sequence[str]) -> None:
        """Open all crosspoints, then close these, and ask which are closed.

        Raises:
            DeviceError: Others are closed than were asked for.
        """
        wanted = frozenset(points)
        self._close_only(sorted(wanted))
        found = self.closed()
        if found != wanted:
            raise DeviceError(
                f"{self._who}: the crosspoints {_listed(wanted)} were asked for, closed are {_listed(found)}; no "
                "voltage was put on; look for a worn relay, and for who else uses the matrix"
            )

    @abstractmethod
    def identity(self) -> Identity:
        """Return who the instrument is."""

    @abstractmethod
    def open_all(self) -> None:
        """Open every crosspoint."""

    @abstractmethod
    def closed(self) -> frozenset[str]:
        """Return the crosspoints that are closed, as far as they are used."""

    @abstractmethod
    def _close_only(self, points: list[str]) -> None:
        """Close these crosspoints and no others."""


class TspMatrix(Matrix):
    """A Keithley 707B or 708B, or another one with `channel` functions: crosspoints as `1A01`."""

    def __init__(self, transport: Transport, points: Sequence[str]) -> None:
        super().__init__(transport, points)
        self._tsp = Tsp(transport)

    def identity(self) -> Identity:
        """See `Matrix.identity`."""
        return self._tsp.identity()

    def open_all(self) -> None:
        """See `Matrix.open_all`."""
        self._tsp.complete('channel.open("allslots")')

    def closed(self) -> frozenset[str]:
        """See `Matrix.closed`: all of the instrument, also those that nobody here uses."""
        text = self._tsp.query('channel.getclose("allslots")', wait=Wait.OPERATION).strip()
        return frozenset() if text == "nil" else frozenset(part.strip() for part in text.split(";") if part.strip())

    def _close_only(self, points: list[str]) -> None:
        # one bad name in a list aborts all of it; then the error queue tells
        self._tsp.complete('channel.open("allslots")', f'channel.close("{",".join(points)}")')


class ScpiMatrix(Matrix):
    """A Keysight B2200, 34980A or another one with `ROUTe:CLOSe (@list)`: crosspoints as `1101`."""

    def __init__(self, transport: Transport, points: Sequence[str]) -> None:
        super().__init__(transport, points)
        self._scpi = Scpi(transport)

    def identity(self) -> Identity:
        """See `Matrix.identity`."""
        return self._scpi.identity()

    def open_all(self) -> None:
        """See `Matrix.open_all`."""
        self._scpi.complete("ROUT:OPEN:ALL")

    def closed(self) -> frozenset[str]:
        """See `Matrix.closed`."""
        answers = self._scpi.numbers(f"ROUT:CLOS? (@{','.join(self._points)})", len(self._points), wait=Wait.OPERATION)
        return frozenset(point for point, state in zip(self._points, answers, strict=True) if state)

    def _close_only(self, points: list[str]) -> None:
        self._scpi.complete("ROUT:OPEN:ALL", f"ROUT:CLOS (@{','.join(points)})")


def _listed(points: frozenset[str]) -> str:
    return ", ".join(sorted(points)[:12]) or "none"
