"""The two dialects of these boards: the same commands in volts, and in millivolts."""

import re
from abc import ABC, abstractmethod
from typing import Final

from pnnlab.errors import DeviceError, GarbledError
from pnnlab.transports import Reply, Transport, parse_number

__all__ = ["Dialect", "MillivoltDialect", "VoltDialect", "acknowledged", "dialect_of"]

_CHIP: Final = re.compile(r"AD57(64|80|91)")
_BITS: Final = {"64": 16, "80": 18, "91": 20}
"""Bits of the converters AD5764, AD5780 and AD5791 (data sheets)."""
_VOLT_BOARD: Final = re.compile(r"DAC-ADC_AD7734-AD57(?:80|91)\w*")
_MILLIVOLT_BOARD: Final = re.compile(r"FASTDAC_UNIT-\S+|DAC-ADC_AD7734-AD5764_UNIT\S*")
_UPDATED: Final = re.compile(r"DAC (\d+) UPDATED TO ([+-]?\d+(?:\.\d+)?)V")
_FAULTS: Final = {
    "NOP": "does not know the command", "SYNTAX_ERROR": "does not understand the parameters",
    "RANGE_ERROR": "finds a parameter out of range",
}  # fmt: skip


class Dialect(ABC):
    """How one kind of firmware is spoken to; voltages are in V on this side.

    Args:
        transport: The conversation.
        bits: Resolution of the outputs, over -10 V to 10 V.
    """

    unit: str
    """What the firmware counts voltages in."""

    def __init__(self, transport: Transport, bits: int) -> None:
        self._line, self.bits = transport, bits

    @abstractmethod
    def put(self, channel: int, volts: float, *, from_v: float) -> None:
        """Put a voltage on an output, which stands at another one."""

    @abstractmethod
    def output_v(self, channel: int) -> float:
        """Return the voltage that an output is set to."""

    @abstractmethod
    def input_v(self, channel: int) -> float:
        """Return the voltage at an input, converted now."""

    def _ask(self, question: str, *, wait_s: float = 0.0) -> str:
        """Return the answer; newer firmware says first that it has understood."""
        seconds = self._line.timeouts.quick_s + wait_s
        answer = self._line.exchange(question, acknowledged, wait=seconds)
        if answer in _FAULTS:
            raise DeviceError(
                f"{self._line.who}: the board {_FAULTS[answer]} {question!r}; is its firmware another one?"
            )
        return answer

    def _number(self, question: str) -> float:
        return parse_number(self._ask(question), who=self._line.who, asked=question)


class VoltDialect(Dialect):
    """Firmware of the family DAC-ADC_AD7734-AD5780 and -AD5791: volts."""

    unit = "V"

    def put(self, channel: int, volts: float, *, from_v: float) -> None:
        """See `Dialect.put`: at once."""
        answer = self._ask(f"SET,{channel},{volts:.7f}")
        match = _UPDATED.fullmatch(answer)
        if match is None or int(match[1]) != channel:
            self._line.distrust()
            raise GarbledError(
                f"{self._line.who}: {answer[:60]!r} answered the setting of channel {channel}, "
                f"'DAC {channel} UPDATED TO ...V' is due"
            )

    def output_v(self, channel: int) -> float:
        """See `Dialect.output_v`."""
        return self._number(f"GET_DAC,{channel}")

    def input_v(self, channel: int) -> float:
        """See `Dialect.input_v`."""
        return self._number(f"GET_ADC,{channel}")


class MillivoltDialect(Dialect):
    """Firmware of the FastDAC: millivolts; an output walks to its voltage in steps of 1 ms.

    Args:
        transport: See `Dialect`.
        bits: See `Dialect`.
        ramp_v_per_s: How fast outputs walk.
    """

    unit = "mV"

    def __init__(self, transport: Transport, bits: int, ramp_v_per_s: float) -> None:
        super().__init__(transport, bits)
        self._ramp_v_per_s = ramp_v_per_s

    def put(self, channel: int, volts: float, *, from_v: float) -> None:
        """See `Dialect.put`: returns once it is there."""
        rate = self._ramp_v_per_s
        walk_s = abs(volts - from_v) / rate
        answer = self._ask(f"RAMP_SMART,{channel},{1e3 * volts:.4f},{1e3 * rate:.3f}", wait_s=1.5 * walk_s)
        if answer != "RAMP_FINISHED":
            self._line.distrust()
            raise GarbledError(
                f"{self._line.who}: {answer[:60]!r} answered the ramp of channel {channel}, 'RAMP_FINISHED' is due"
            )

    def output_v(self, channel: int) -> float:
        """See `Dialect.output_v`."""
        return 1e-3 * self._number(f"GET_DAC,{channel}")

    def input_v(self, channel: int) -> float:
        """See `Dialect.input_v`."""
        return 1e-3 * self._number(f"GET_ADC,{channel}")


def dialect_of(told: str, transport: Transport, *, ramp_v_per_s: float) -> Dialect:
    """Return the dialect that a board's identity names; never a guess: one number is two voltages, 1000 times apart.

    Args:
        told: The answer to `*IDN?`.
        transport: The conversation.
        ramp_v_per_s: See `MillivoltDialect`.

    Raises:
        DeviceError: The identity is none that is known.
    """
    chip = _CHIP.search(told)
    if _VOLT_BOARD.fullmatch(told) and chip is not None:
        return VoltDialect(transport, _BITS[chip[1]])
    if _MILLIVOLT_BOARD.fullmatch(told):
        return MillivoltDialect(transport, _BITS["64"], ramp_v_per_s)
    raise DeviceError(
        f"{transport.who}: {told[:80]!r} answered '*IDN?'; whether such a board counts in volts or in millivolts is "
        "not known, and a wrong guess would be wrong by a factor of 1000. Known are DAC-ADC_AD7734-AD5780 and -AD5791 "
        "(V), FASTDAC_UNIT-... and DAC-ADC_AD7734-AD5764_UNIT... (mV); nothing was set"
    )


def acknowledged(reply: Reply) -> str:
    """Return an answer; newer firmware says in a line before it that it has understood."""
    answer = reply.text().strip()
    return reply.text().strip() if answer == "ACK" else answer
