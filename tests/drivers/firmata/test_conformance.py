"""The Firmata driver keeps what is asked of every DAC and every ADC, with a real firmware at the other end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar, Unpack

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.devices import Clock, RealClock
from pnnlab.testing import ADCConformance, DACConformance, DeviceArguments
from pnnlab_drivers.firmata.board import FirmataBoard
from scripts.plants.avr_board import AvrBoard
from tests.drivers.firmata.boards import PEER, started


class Peer:
    """One board for all tests of a suite; it goes on running when its port is opened, which takes less time."""

    board: ClassVar[AvrBoard]
    peer = PEER
    patience_s = 30.0
    silence_s = 40.0
    account_error: ClassVar = {"voltage": 1e-6}

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _plugged_in(cls) -> Iterator[None]:
        with started(resets=False) as board:
            cls.board = board
            yield

    def clock(self) -> Clock:
        return RealClock()

    def make(self, **arguments: Unpack[DeviceArguments]) -> FirmataBoard:
        options = {"resource": str(self.board.port), "reset_on_open": False, "quick": "5 s"}
        return FirmataBoard("board", FirmataBoard.Options.model_validate(options), **arguments)

    @contextmanager
    def silent(self, device: FirmataBoard) -> Iterator[None]:
        os.kill(self.board.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.board.pid, signal.SIGCONT)

    @contextmanager
    def unplugged(self, device: FirmataBoard) -> Iterator[None]:
        self.board.unplug()
        try:
            yield
        finally:
            self.board.plug_in()

    @contextmanager
    def losing(self, device: FirmataBoard) -> Iterator[None]:
        self.board.lose(401)  # a run of the test is 540 bytes; the answer by which it begins is among the first
        try:
            yield
        finally:
            self.board.lose(0)

    def gullible(self, device: FirmataBoard) -> Any:
        return nullcontext()  # the firmware takes every number of 14 bits

    def instrument_has(self, device: FirmataBoard, quantity: str) -> npt.NDArray[np.number]:
        return self.board.pins_v()


class TestPulsePins(Peer, DACConformance[FirmataBoard]):
    """The DAC."""


class TestAnalogPins(Peer, ADCConformance[FirmataBoard]):
    """The ADC."""

    n_samples = 3

    def sleep(self, device: FirmataBoard, seconds: float) -> None:
        """Let time pass for the board, for which it may run slower here than for others."""
        over_s = self.board.time_s() + seconds
        super().sleep(device, seconds)
        while (left_s := over_s - self.board.time_s()) > 0:
            super().sleep(device, left_s)

    def step_s(self, device: FirmataBoard) -> float:
        """The firmware throws a sweep away and has a rhythm of its own."""
        return (self.n_samples + 3) / device.max_sample_rate_hz
