"""The device under test: how it is made, what its role can do, and how a refusal is checked."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, NotRequired, TypedDict, TypeVar, Unpack

import numpy as np
import pytest

from pnnlab.devices import Clock, Device, ExpectedIdentity, Limits, SimulatedClock, State
from pnnlab.errors import PnnlabError
from pnnlab.testing._checks import does_not_apply, needs_device
from pnnlab.testing._mishaps import Mishaps

__all__ = ["Call", "DeviceArguments", "Subject", "assert_state"]

D = TypeVar("D", bound=Device)
Call = Callable[[D], object]


class DeviceArguments(TypedDict):
    """What the kit gives to `make`, to be passed on to the device's constructor; the clock is always among it."""

    clock: Clock
    limits: NotRequired[Mapping[str, Limits]]
    expected: NotRequired[ExpectedIdentity]


def assert_state(device: Device, state: State, when: str = "now") -> None:
    """Assert where a device is in its life."""
    assert device.state is state, f"{device.name} is {device.state} {when}, due is {state}"


class Subject(Mishaps[D]):
    """The device under test and what its role can do.

    Attributes:
        patience_s: Enough time for everything that is legal and short.
        impatience_s: How long the kit waits for what must not come.
        grace_s: By how much a call may overrun the timeout that it was given.
        stamp_error_s: How well the device's stamps agree with the bench's clock.
        changing_settings: Settings that change by themselves, as a temperature does.
        dimensionless_settings: Settings that are numbers without a unit, as a gain.
        hooks: The driver's hooks below the role's checked calls.
    """

    patience_s: ClassVar[float] = 5.0
    impatience_s: ClassVar[float] = 0.02
    grace_s: ClassVar[float] = 0.5
    stamp_error_s: ClassVar[float] = 1e-3
    changing_settings: ClassVar[frozenset[str]] = frozenset()
    dimensionless_settings: ClassVar[frozenset[str]] = frozenset()
    hooks: ClassVar[tuple[str, ...]]

    # What the author of a driver writes

    @abstractmethod
    def make(self, **arguments: Unpack[DeviceArguments]) -> D:
        """Return a closed device; pass the arguments on to its constructor."""

    def clock(self) -> Clock:
        """Return the clock of a device under test; a `RealClock` for real hardware."""
        return SimulatedClock()

    def pulse(self, device: D) -> None:
        """Make one edge on the device's trigger line; without it hardware triggers are only armed."""
        needs_device("an edge on its trigger line, as pulse() makes one")

    # What a role tells

    @abstractmethod
    def calls(self, like: D) -> Mapping[str, Call[D]]:
        """Return the role's calls that an open device must take, with harmless arguments that fit `like`."""

    @abstractmethod
    def senders(self, like: D) -> Mapping[str, Callable[[D, float], object]]:
        """Return, for every quantity that can be limited, the call that sends one value of it."""

    @abstractmethod
    def misfits(self, like: D) -> Mapping[str, Call[D]]:
        """Return calls whose arrays or regions do not fit `like`, each named by what is wrong with it."""

    def run_calls(self) -> Mapping[str, Call[D]]:
        """Return the calls that need an armed run."""
        return {
            "start": lambda device: device.start(),
            "trigger": lambda device: device.trigger(),
            "wait": lambda device: device.wait(self.impatience_s),
        }

    def arm_or_skip(self, device: D) -> None:
        """Arm a short run; skip the test where the device cannot be armed."""
        does_not_apply("it cannot be armed")

    def readback(self, device: D) -> dict[str, object]:
        """Return everything that can be read back without changing it."""
        if device.state not in (State.OPEN, State.ARMED, State.SAFE):
            return {}
        return {key: value for key, value in device.settings().items() if key not in self.changing_settings}

    # What the rules share

    @pytest.fixture
    def device(self) -> Iterator[D]:
        """Give an open device, and close it."""
        with self.make(clock=self.clock()) as device:
            yield device

    def example(self) -> D:
        """Return a closed device that was open once, so that its facts are known."""
        device = self.make(clock=self.clock())
        device.open()
        device.close()
        return device

    def limits_of(self, device: D, quantity: str) -> tuple[float, float]:
        """Return the lowest and highest legal value of a quantity."""
        limits = device.limits(quantity)
        assert np.isfinite([limits.low, limits.high]).all() and limits.low < limits.high, (
            f"{device.name}: the limits of {quantity} are {limits.low:g} to {limits.high:g}; "
            "_hard_limits() must tell a finite range, what the instrument can stand"
        )
        return limits.low, limits.high

    def idle(self, device: D, quantity: str) -> float:
        """Return the legal value that is nearest to zero."""
        low, high = self.limits_of(device, quantity)
        return min(max(0.0, low), high)

    def let_slew(self, device: D, quantity: str) -> None:
        """Wait until a quantity may take any legal value, where it may not change at once."""
        slew_per_s = device.limits(quantity).slew_per_s
        if np.isfinite(slew_per_s):
            low, high = self.limits_of(device, quantity)
            self.sleep(device, (high - low) / slew_per_s)

    def sleep(self, device: D, seconds: float) -> None:
        """Let bench time pass."""
        device.clock.sleep_until(device.clock.now_s() + seconds)

    def assert_refused(self, device: D, what: str, call: Call[D], error: type[PnnlabError]) -> None:
        """Assert that a call raises `error`, reaches no hook of the driver and changes nothing."""
        before, state = self.readback(device), device.state
        with pytest.MonkeyPatch.context() as patch:
            for hook in self.hooks:
                # an outcome of pytest is no Exception: nothing between here and there can swallow it
                patch.setattr(device, hook, lambda *_, hook=hook, **__: pytest.fail(f"{what} reached {hook}()"))
            try:
                call(device)
            except error:
                pass
            except Exception as other:
                pytest.fail(f"{what} raised {type(other).__name__} ({other}), {error.__name__} is due")
            else:
                pytest.fail(f"{what} was accepted, {error.__name__} is due")
        assert_state(device, state, f"after {what} was refused")
        after = self.readback(device)
        changed = [key for key in before if not np.array_equal(np.asarray(before[key]), np.asarray(after.get(key)))]
        assert not changed, f"{what} was refused, and changed {', '.join(changed)}"
