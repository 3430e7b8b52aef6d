"""The two fast inputs of a Red Pitaya: records after a trigger, fetched as binary blocks."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.errors import AbilityError, GarbledError
from pnnlab.transports import Scpi, parse_integer

__all__ = ["BUFFER", "Oscilloscope", "decimation_of"]

BUFFER: Final = 16384
_HALF: Final = BUFFER // 2
"""Where in the buffer the trigger is with a delay of 0."""
_CLOCK_HZ: Final = 125e6
_RATE_ERROR: Final = 1e-3


def decimation_of(rate_hz: float, *, who: str) -> int:
    """Return the decimation that makes a sample rate: 1, 2, 4, 8 or 16 to 65536.

    Raises:
        AbilityError: None does, to a thousandth.
    """
    wanted = _CLOCK_HZ / rate_hz
    best = min([1, 2, 4, 8, min(65536, max(16, round(wanted)))], key=lambda d: abs(d - wanted))
    if abs(best / wanted - 1) > _RATE_ERROR:
        raise AbilityError(
            f"{who}: no decimation makes {rate_hz:g} Hz, the nearest rate is {_CLOCK_HZ / best:g} Hz: 125 MHz divided "
            "by 1, 2, 4, 8 or any number from 16 to 65536"
        )
    return best


class Oscilloscope:
    """Commands for the inputs.

    Args:
        scpi: The board.
        channels: Numbers of the inputs, from 1.
    """

    def __init__(self, scpi: Scpi, channels: Sequence[int]) -> None:
        self._scpi, self._channels = scpi, channels

    def prepare(self, decimation: int, n_samples: int, gain: str) -> None:
        """Set everything that records share."""
        gains = [f"ACQ:SOUR{c}:GAIN {gain}" for c in self._channels]
        self._scpi.command(
            "ACQ:RST", "ACQ:DATA:FORMAT BIN", "ACQ:DATA:Units VOLTS", f"ACQ:DEC:Factor {decimation}", "ACQ:AVG ON",
            *gains, f"ACQ:TRig:DLY {n_samples - _HALF}",
        )  # fmt: skip

    def arm(self, source: str) -> None:
        """Fill the buffer, and let a trigger make a record: `NOW`, `EXT_PE`, `AWG_PE`."""
        self._scpi.command("ACQ:START", f"ACQ:TRig {source}")

    def stop(self) -> None:
        """Wait for no trigger any more."""
        self._scpi.command("ACQ:STOP")

    def triggered(self) -> bool:
        """Return whether the trigger came."""
        state = self._scpi.query("ACQ:TRig:STAT?").strip()
        if state not in ("TD", "WAIT"):
            raise GarbledError(f"{self._scpi.transport.who}: the state of the trigger is {state!r}, due is TD or WAIT")
        return state == "TD"

    def filled(self) -> bool:
        """Return whether the record is complete."""
        return self._integer("ACQ:TRig:FILL?") == 1

    def fetch(self, n_samples: int) -> npt.NDArray[np.float32]:
        """Return the record in V, shape `(n_samples, n_channels)`."""
        begin = self._integer("ACQ:TPOS?")
        columns = [
            self._scpi.samples(f"ACQ:SOUR{c}:DATA:STArt:N? {begin},{n_samples}", n_samples, ">f4")
            for c in self._channels
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    def _integer(self, question: str) -> int:
        return parse_integer(self._scpi.query(question), who=self._scpi.transport.who, asked=question)
