"""What goes wrong with an instrument, as far as a test can make it happen."""

from abc import ABC
from contextlib import AbstractContextManager
from typing import ClassVar, Generic, NoReturn, TypeVar

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.devices import Device
from pnnlab.testing._checks import NOT_SHOWN, does_not_apply, needs_device

__all__ = ["Mishaps"]

D = TypeVar("D", bound=Device)


class Mishaps(ABC, Generic[D]):
    """Hooks of a conformance test that let something go wrong with the instrument, each as a context.

    Whoever has a peer that can misbehave (a wire-level fake, a vendor's emulator) overrides them; what is left out is
    reported as "not shown: needs the device". The device may be closed when a context begins and when it ends. A peer
    whose nature excludes a mishap says so by `does_not_apply`.

    Attributes:
        peer: What the device under test talks to, for people: "pypylon's camera emulation".
        silence_s: How long a driver may take until it gives up on an instrument that does not answer.
        loss_run: Readings of a run in which `losing` loses at least one.
        account_error: By how much the account of `instrument_has` may be off, by quantity, in its SI unit; a millionth
            of the range for what is left out.
    """

    peer: ClassVar[str] = ""
    silence_s: ClassVar[float] = 10.0
    loss_run: ClassVar[int] = 10
    account_error: ClassVar[dict[str, float]] = {}

    def silent(self, device: D) -> AbstractContextManager[object]:
        """Let the instrument answer nothing; afterwards it answers again."""
        _left_out(device, "an instrument that stops answering")

    def unplugged(self, device: D) -> AbstractContextManager[object]:
        """Take the instrument away; afterwards it is there again, at the same address."""
        _left_out(device, "a hand that unplugs it")

    def losing(self, device: D) -> AbstractContextManager[object]:
        """Let some of the readings that are taken inside get lost, at least one in `loss_run`."""
        _left_out(device, "a connection that loses readings")

    def gullible(self, device: D) -> AbstractContextManager[object]:
        """Let the instrument take every value without a word, and do what it can of it."""
        _left_out(device, "an instrument that takes what it cannot do")

    def instrument_has(self, device: D, quantity: str) -> npt.NDArray[np.number]:
        """Return what the instrument itself has of a quantity now, by another way than the driver's; any shape."""
        what = f"another account of its {quantity} than the driver's"
        if type(device).needs_plant:
            pytest.skip(f"{NOT_SHOWN}{what} is not asked of the plant")  # it could be: that is no matter of hardware
        needs_device(what)

    def readings_to_wrap(self, device: D) -> int:
        """Return after how many readings from now the device's counter has begun again, at most."""
        modulus = getattr(device, "counter_modulus", None)
        if modulus is None or modulus > 300:
            needs_device(f"{modulus} readings until its counter begins again")
        return int(modulus)


def _left_out(device: Device, what: str) -> NoReturn:
    """End a test whose hook was left out."""
    if type(device).needs_plant:
        does_not_apply("a simulated device has no wire and no instrument behind it")
    needs_device(what)
