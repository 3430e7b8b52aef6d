"""A modulator that is written in Python, for the core of pymmcore-plus."""

from typing import Any

import numpy as np
from pymmcore_plus.experimental.unicore import SLMDevice


class PythonSlm(SLMDevice):
    """Keeps what is loaded and what is shown apart, as real modulators do."""

    last: Any = None

    def __init__(self) -> None:
        super().__init__()
        self._loaded = self.shown = np.zeros((6, 8), np.uint8)
        self._exposure_ms = 0.0
        type(self).last = self

    def shape(self) -> tuple[int, ...]:
        return 6, 8

    def dtype(self) -> Any:
        return np.uint8

    def set_image(self, pixels: np.ndarray) -> None:
        self._loaded = np.array(pixels)

    def display_image(self) -> None:
        self.shown = self._loaded

    def get_exposure(self) -> float:
        return self._exposure_ms

    def set_exposure(self, interval_ms: float) -> None:
        self._exposure_ms = interval_ms


class ColourSlm(PythonSlm):
    def shape(self) -> tuple[int, ...]:
        return 6, 8, 3
