"""Drivers that look for instruments in their own ways."""

import os
import time
from collections.abc import Sequence
from typing import Literal

from pnnlab.devices import Candidate, DeviceOptions, Identity, RegionOfInterest
from pnnlab.quantities import Seconds
from tests.testing.memory_devices import MemoryCamera, MemoryDac


class PortOptions(DeviceOptions):
    port: str = ""
    delay_s: Seconds = 0.0
    mode: Literal["fast", "slow"] = "fast"


class Finder(MemoryDac):
    Options = PortOptions

    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        print("a vendor's library says hello on stdout")
        return [
            Candidate(Identity("Acme", "DAC-8", "0042"), {"port": "COM3", "delay_s": 2e-3}, "two\nlines"),
            Candidate(Identity("Acme", "DAC-8", ""), {"port": "COM4"}),
        ]


class Hanging(MemoryDac):
    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        time.sleep(600)
        return ()


class Crashing(MemoryCamera):
    roi = RegionOfInterest(0, 0, 6, 8)

    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        os._exit(139)


class Raising(MemoryCamera):
    @classmethod
    def discover(cls) -> Sequence[Candidate]:
        raise OSError("the driver of the kernel is missing")
