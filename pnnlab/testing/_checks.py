"""What the rules of the kit show of a driver, and why one shows nothing."""

from enum import StrEnum
from typing import Final, NoReturn

import pytest

__all__ = ["APPLIES_NOT", "NEEDS_DEVICE", "NOT_SHOWN", "Check", "does_not_apply", "needs_device", "quiet", "shows"]

NOT_SHOWN: Final = "not shown: "
NEEDS_DEVICE: Final = f"{NOT_SHOWN}needs the device: "
APPLIES_NOT: Final = "does not apply: "


class Check(StrEnum):
    """What is asked of every driver: the columns of the matrix of drivers and checks."""

    IDENTITY = "identity"
    LIMITS = "limits"
    REALISED = "commanded and realised"
    SEQUENCE = "sequence"
    TRIGGER = "trigger"
    TIMEOUT = "timeout"
    UNPLUGGED = "unplugged"
    SECOND_CLIENT = "second client"
    COUNTER_WRAP = "counter wrap"
    LOST_PACKETS = "lost packets"
    ACCEPTED = "out-of-range accepted by the device"
    REOPENS = "reopen after fault"
    SAFE = "safe state after fault"


def shows(*checks: Check) -> pytest.MarkDecorator:
    """Mark a test with what it shows of a driver once it has passed.

    Outside a conformance class, `driver` and `peer` are told beside: `@shows(Check.LOST_PACKETS)` and
    `@pytest.mark.pnnlab_driver("aravis-camera", peer="Aravis fake camera")`.
    """
    return pytest.mark.pnnlab_shows(*(str(check) for check in checks))


quiet: Final = pytest.mark.pnnlab_quiet
"""Mark a rule that puts no output anywhere but into its safe state: it may run on a bench with a sample on it."""


def needs_device(what: str) -> NoReturn:
    """End a test that cannot be made without the real instrument, or without a hand at it."""
    pytest.skip(f"{NEEDS_DEVICE}{what}")


def does_not_apply(why: str) -> NoReturn:
    """End a test that asks for what a device does not have."""
    pytest.skip(f"{APPLIES_NOT}{why}")
