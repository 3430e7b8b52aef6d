"""The voltages that a pin makes by pulses: the mean of a square wave."""

import numpy as np
import numpy.typing as npt

__all__ = ["PulseOutputs"]

Floats = npt.NDArray[np.floating]
Codes = npt.NDArray[np.int64]


class PulseOutputs:
    """Pulse-width codes of several pins and the mean voltages that they make.

    Code 0 is always low and the highest code always high. Between them a timer that counts up and down is high for
    code / top of its time, top being the highest code; one that only counts up (timer 0 of an AVR) for
    (code + 1) / (top + 1), so that it has no voltage between 0 and two steps (ATmega328P data sheet, 15.7 and 18.7).

    Args:
        bits: Resolution of each pin's code.
        counts_up: Whether each pin's timer only counts up.
        supply_v: Voltage while a pin is high.
    """

    def __init__(self, bits: list[int], counts_up: list[bool], supply_v: float) -> None:
        self._levels = [_levels(n, up) * supply_v for n, up in zip(bits, counts_up, strict=True)]
        # half-way between neighbours the nearer one changes
        self._edges = [(level[1:] + level[:-1]) / 2 for level in self._levels]
        self.lsb_v = max(float(np.diff(level).max()) for level in self._levels)

    def codes(self, volts: Floats) -> Codes:
        """Return the codes of the nearest voltages, shape `(n_pins,)` or `(n, n_pins)`."""
        found = np.empty(volts.shape, np.int64)
        for pin, edges in enumerate(self._edges):
            found[..., pin] = np.searchsorted(edges, volts[..., pin])
        return found

    def volts(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Return the voltages of codes, same shape."""
        found = np.empty(codes.shape)
        for pin, levels in enumerate(self._levels):
            found[..., pin] = levels[codes[..., pin]]
        return found


def _levels(bits: int, counts_up: bool) -> npt.NDArray[np.float64]:
    """Return the part of the time for which a pin is high, by code."""
    top = 2**bits - 1
    codes = np.arange(top + 1)
    parts: npt.NDArray[np.float64] = (codes + 1) / (top + 1) if counts_up else codes / top
    parts[0] = 0.0
    return parts
