"""The part of pyarc2 that the driver uses, in front of a model array; written after its documentation.

Nobody of pnnlab had the instrument: what stands here is what the documentation says.
"""

from enum import Enum

import numpy as np

LIBARC2_VERSION = "model"


class ArC2Error(Exception):
    """What the library raises."""


class IdleMode(Enum):
    """How channels are left."""

    Float = 0b01
    SoftGnd = 0b10
    HardGnd = 0b11


PORTS = [0]
"""Where there are instruments."""
BOARDS: dict[int, "Board"] = {}
"""What is behind them."""


def find_ids() -> list[int]:
    """Return the ports at which there are instruments."""
    return [port for port in PORTS if not (port in BOARDS and BOARDS[port].gone)]


class Board:
    """Cells between 64 channels, and where the channels are."""

    def __init__(self) -> None:
        self.siemens = np.full((64, 64), 20e-6)
        self.state = "HardGnd"
        self.gone = False


class Instrument:
    """Commands are queued and run when `execute` is called; readings are at once."""

    def __init__(self, port: int, firmware: str) -> None:
        if port not in PORTS:
            raise ArC2Error(f"Invalid ArC2 device id: {port}")
        self._board = BOARDS.setdefault(port, Board())
        self._queue: list[object] = []

    def connect_to_gnd(self, channels: np.ndarray) -> "Instrument":
        assert channels.dtype == np.uint64
        self._queue.append(lambda: setattr(self._board, "state", "released" if len(channels) == 0 else "HardGnd"))
        return self

    def pulse_one(self, low: int, high: int, voltage: float, nanos: int) -> "Instrument":
        def pulse() -> None:
            self._released()
            assert nanos > 0
            if abs(voltage) > 0.5:
                moved = self._board.siemens[low, high] + np.sign(voltage) * 2e-6 * (abs(voltage) - 0.4)
                self._board.siemens[low, high] = np.clip(moved, 1e-6, 200e-6)

        self._queue.append(pulse)
        return self

    def read_one(self, low: int, high: int, vread: float) -> float:
        self._reachable()
        self._released()
        return float(self._board.siemens[low, high] * vread)

    def finalise_operation(self, mode: IdleMode) -> "Instrument":
        self._queue.append(lambda: setattr(self._board, "state", mode.name))
        return self

    def execute(self) -> "Instrument":
        self._reachable()
        queue, self._queue = self._queue, []
        for command in queue:
            command()  # type: ignore[operator]
        return self

    def wait(self) -> None:
        self._reachable()

    def _released(self) -> None:
        assert self._board.state == "released", "a channel is used that is tied to ground"

    def _reachable(self) -> None:
        if self._board.gone:
            raise ArC2Error("USB transfer failed")
