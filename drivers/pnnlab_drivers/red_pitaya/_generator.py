"""The two fast outputs of a Red Pitaya: constant voltages, and one waveform of its buffer."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.errors import AbilityError, DeviceError
from pnnlab.transports import Scpi, Wait, parse_number

__all__ = ["BUFFER", "CLOCK_HZ", "CODES", "Generator"]

VoltArray = npt.NDArray[np.floating]

BUFFER: Final = 16384
"""Samples of a channel's buffer."""
CLOCK_HZ: Final = 125e6
CODES: Final = 8192
"""Codes of a volt: 14 bits for -1 V to 1 V."""
_PHASE: Final = 65536
"""Parts of a sample that the phase advances by at each clock (`gen_handler.cpp`: 65536 times the buffer's length)."""
_RATE_ERROR: Final = 1e-3


class Generator:
    """Commands for the outputs.

    Args:
        scpi: The board.
        channels: Numbers of the outputs, from 1.
    """

    def __init__(self, scpi: Scpi, channels: Sequence[int]) -> None:
        self._scpi, self._channels = scpi, channels
        self._who = scpi.transport.who

    def outputs(self) -> VoltArray:
        """Return what is at the outputs now by the board's settings; of a signal that goes on by itself, its offset."""
        questions = [
            q for c in self._channels for q in (
                f"OUTPUT{c}:STATE?", f"SOUR{c}:FUNC?", f"SOUR{c}:VOLT?", f"SOUR{c}:VOLT:OFFS?",
                f"SOUR{c}:BURS:STAT?", f"SOUR{c}:BURS:LASTValue?",
            )
        ]  # fmt: skip
        answers = self._scpi.run((), *questions)
        found = []
        for k in range(0, len(answers), 6):
            state, function, amplitude, offset, mode, last = answers[k : k + 6]
            level = parse_number(offset, who=self._who)
            if function.strip() == "DC":
                level += parse_number(amplitude, who=self._who)
            if mode.strip() == "BURST":
                level = parse_number(last, who=self._who)
            found.append(level if state.strip() in ("ON", "1") else 0.0)
        return np.array(found)

    def put(self, volts: VoltArray, *, running: bool) -> None:
        """Put constant voltages on the outputs and read them back.

        Args:
            volts: Shape `(n_channels,)`.
            running: Whether the outputs are on and constant, so that they go from one value to the next at once.

        Raises:
            DeviceError: The board has other values.
        """
        commands: list[str] = []
        for c, v in zip(self._channels, volts.tolist(), strict=True):
            if running:
                commands.append(f"SOUR{c}:VOLT:OFFS {v:.9f}")
                continue
            # off meanwhile: function, amplitude and offset cannot change together
            commands += [
                f"OUTPUT{c}:STATE OFF", f"SOUR{c}:BURS:STAT CONTINUOUS", f"SOUR{c}:VOLT 0", f"SOUR{c}:FUNC DC",
                f"SOUR{c}:VOLT:OFFS {v:.9f}", f"OUTPUT{c}:STATE ON",
            ]  # fmt: skip
        answers = self._scpi.run(commands, *[f"SOUR{c}:VOLT:OFFS?" for c in self._channels])
        for c, v, answer in zip(self._channels, volts.tolist(), answers, strict=True):
            found = parse_number(answer, who=self._who, asked=f"SOUR{c}:VOLT:OFFS?")
            if abs(found - v) > 0.5 / CODES:
                raise DeviceError(
                    f"{self._who}: output {c} was set to {v:g} V and says that it is at {found:g} V; look at the load "
                    "setting (SOUR:LOAD) and at who else uses the board"
                )

    def load(self, volts: VoltArray, rate_hz: float, before_v: VoltArray, on: Sequence[bool]) -> None:
        """Load a waveform that waits for its trigger at `before_v`, plays once and holds its last value.

        The whole buffer is used, filled up with the last value: how long it takes to play a shorter one differs between
        versions of the board's software.
        """
        self.check_rate(rate_hz)
        held = np.repeat(volts[-1:], BUFFER - len(volts), axis=0)
        whole = np.concatenate([volts, held])
        for k, c in enumerate(self._channels):
            source = f"SOUR{c}:"
            samples = ",".join(f"{v:.9g}" for v in whole[:, k].tolist())
            self._scpi.command(f"OUTPUT{c}:STATE OFF", f"{source}VOLT 0", f"{source}VOLT:OFFS 0", f"{source}VOLT 1")
            self._scpi.command(f"{source}FUNC ARBITRARY", f"{source}TRAC:DATA:DATA {samples}", wait=Wait.BULK)
            settings = (
                f"{source}FREQ:FIX {rate_hz / BUFFER:.9g}", f"{source}BURS:STAT BURST", f"{source}BURS:NCYC 1",
                f"{source}BURS:NOR 1", f"{source}INITValue {before_v[k]:.9f}",
                f"{source}BURS:LASTValue {volts[-1, k]:.9f}", f"{source}TRig:SOUR INT",
            )  # fmt: skip
            self._scpi.command(*settings)
        ready = [f"OUTPUT{c}:STATE ON" for c, is_on in zip(self._channels, on, strict=True) if is_on]
        if ready:
            self._scpi.command(*ready)

    def play(self) -> None:
        """Switch all outputs on, and let the loaded waveform begin on all."""
        self._scpi.command(*[f"OUTPUT{c}:STATE ON" for c in self._channels], "SOUR:TRig:INT")

    def off(self) -> None:
        """Switch the outputs off: 0 V."""
        answers = self._scpi.run(
            [f"OUTPUT{c}:STATE OFF" for c in self._channels], *[f"OUTPUT{c}:STATE?" for c in self._channels]
        )
        if any(answer.strip() not in ("OFF", "0") for answer in answers):
            raise DeviceError(f"{self._who}: outputs do not switch off ({answers}); look at the board")

    def check_rate(self, rate_hz: float) -> None:
        """Refuse a rate that the phase's steps do not make.

        Raises:
            AbilityError: It is off by more than a thousandth.
        """
        made_hz = max(1, round(_PHASE * rate_hz / CLOCK_HZ)) * CLOCK_HZ / _PHASE
        if abs(made_hz / rate_hz - 1) > _RATE_ERROR:
            raise AbilityError(
                f"{self._who}: a waveform at {rate_hz:g} Hz would play at {made_hz:g} Hz, the nearest that the board "
                "makes; choose that, or a rate above 1 MHz"
            )
