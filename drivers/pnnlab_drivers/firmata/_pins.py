"""The pulse-width pins of a board, and what they were last told."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from pnnlab.errors import DeviceError
from pnnlab_drivers.firmata._protocol import (
    PWM,
    Message,
    PinState,
    Reply,
    read_pin_state,
    request_pin_state,
    set_mode,
    write_code,
)
from pnnlab_drivers.firmata._session import Session

__all__ = ["OutputPins"]

Codes = npt.NDArray[np.int64]
_AT_ONCE: Final = 48
"""Bytes that are sent before an answer is awaited: an AVR keeps 64 until it comes to them."""


class OutputPins:
    """Pins that make pulses.

    Mutable: `write` changes what they are told.

    Args:
        session: With the board.
        who: Name of the device, for messages.
        pins: Their numbers.
        verify: Whether every code is asked for again; otherwise the last one of each message is.
    """

    def __init__(self, session: Session, *, who: str, pins: tuple[int, ...], verify: bool) -> None:
        self._session, self._who, self._pins, self._verify = session, who, pins, verify
        self._strict = True
        states = [session.ask(request_pin_state(pin), _state_of(pin)) for pin in pins]
        self._driven = [state.mode == PWM for state in states]
        self.codes: Codes = np.array([state.code if state.mode == PWM else 0 for state in states], np.int64)
        """What they were last told; 0 for pins that drive nothing."""

    def write(self, codes: Codes) -> None:
        """Give pins their codes, and return when the board has done it."""
        with self._session.lock:
            changed = [k for k, code in enumerate(codes.tolist()) if code != self.codes[k] or not self._driven[k]]
            if not changed:
                return self._check([0], codes, request_pin_state(self._pins[0]))
            part: list[int] = []
            for k in changed:
                if sum(len(self._orders(j, codes)) for j in (*part, k)) > _AT_ONCE:
                    self._write_some(part, codes)
                    part = []
                part.append(k)
            self._write_some(part, codes)

    def write_anew(self, codes: Codes) -> None:
        """Give pins their codes whatever has happened to the board, and whatever it says of it."""
        with self._session.lock:
            self._session.forget(0.0)
            self._driven, self._strict = [False] * len(self._pins), False
            try:
                self.write(codes)
            finally:
                self._strict = True

    def _write_some(self, numbers: list[int], codes: Codes) -> None:
        asked = numbers if self._verify else numbers[-1:]
        self._check(asked, codes, b"".join(self._orders(k, codes, ask=k in asked) for k in numbers))
        for k in numbers:
            self._driven[k], self.codes[k] = True, codes[k]

    def _orders(self, k: int, codes: Codes, *, ask: bool = True) -> bytes:
        """Return what gives a pin its code, and asks for it."""
        pin = self._pins[k]
        mode = b"" if self._driven[k] else set_mode(pin, PWM)
        return mode + write_code(pin, int(codes[k])) + (request_pin_state(pin) if ask else b"")

    def _check(self, numbers: list[int], codes: Codes, orders: bytes) -> None:
        """Send orders and hold against them what pins say that they were last told."""
        pins = [self._pins[k] for k in numbers]
        states = self._session.ask_all(orders, [_state_of(pin) for pin in pins], strict=self._strict)
        for k, pin, found in zip(numbers, pins, states, strict=True):
            if found.mode != PWM or found.code != codes[k]:
                raise DeviceError(
                    f"{self._who}: pin {pin} was to make pulses of code {codes[k]}, the board says that it is in mode "
                    f"{found.mode} with code {found.code}: it has started anew, or bytes were lost; look at its power "
                    "and its cable, close the device and open it again"
                )


def _state_of(pin: int) -> Callable[[Message], PinState | None]:
    """Return a taker of the answer what a pin was last told."""

    def take(message: Message) -> PinState | None:
        state = read_pin_state(message) if isinstance(message, Reply) else None
        return state if state is not None and state.pin == pin else None

    return take
