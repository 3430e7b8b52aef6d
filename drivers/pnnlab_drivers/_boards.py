"""Serial ports at which a microcontroller board may be."""

from collections.abc import Sequence
from typing import Final

from pnnlab.devices import Candidate, Identity

__all__ = ["board_candidates", "serial_number"]

_VENDORS: Final = {
    0x2341: "Arduino", 0x2A03: "Arduino", 0x16C0: "Teensy", 0x239A: "Adafruit", 0x1B4F: "SparkFun",
    0x2E8A: "Raspberry Pi", 0x1A86: "a board with a CH340", 0x0403: "a board with an FTDI chip",
    0x10C4: "a board with a CP210x",
}  # fmt: skip
"""Who makes the boards, or the chips on them, by the USB vendor numbers of their ports."""


def board_candidates(note: str) -> Sequence[Candidate]:
    """Return every port of a board that could be opened; none is.

    Args:
        note: What is still to be found out.
    """
    from serial.tools import list_ports

    return [
        Candidate(
            Identity(port.manufacturer or _VENDORS[port.vid], port.product or "", port.serial_number or ""),
            {"resource": port.device}, note,
        )
        for port in sorted(list_ports.comports())
        if port.vid in _VENDORS
    ]  # fmt: skip


def serial_number(port: str) -> str:
    """Return the number by which the USB chip of a port tells itself apart; empty where it has none."""
    from serial.tools import list_ports

    return next((found.serial_number or "" for found in list_ports.comports() if found.device == port), "")
