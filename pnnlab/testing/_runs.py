"""The rules of armed runs: what starts a step, and when a run is over."""

from abc import abstractmethod
from typing import ClassVar, TypeVar

import pytest

from pnnlab.devices import Device, State, Trigger
from pnnlab.errors import AbilityError, AcquisitionError
from pnnlab.testing._checks import Check, does_not_apply, shows
from pnnlab.testing._subject import Subject, assert_state

__all__ = ["RunRules"]

D = TypeVar("D", bound=Device)

each_trigger = pytest.mark.parametrize("trigger", list(Trigger))


class RunRules(Subject[D]):
    """Armed once, triggered many times."""

    n_steps: ClassVar[int] = 3
    """Triggers that `arm` prepares for."""

    @abstractmethod
    def triggers(self, device: D) -> frozenset[Trigger]:
        """Return what the device says can start a step."""

    @abstractmethod
    def arm(self, device: D, trigger: Trigger) -> None:
        """Arm a run of `n_steps` steps."""

    @abstractmethod
    def step_s(self, device: D) -> float:
        """Return the bench time after which the next step of such a run may be triggered."""

    def arm_or_skip(self, device: D) -> None:
        """See `Subject.arm_or_skip`."""
        for trigger in Trigger:
            if trigger in self.triggers(device):
                return self.arm(device, trigger)
        does_not_apply("it has no triggers")

    def can_fire(self, trigger: Trigger) -> bool:
        """Return whether the kit can make a step by a trigger."""
        return trigger is not Trigger.HARDWARE or type(self).pulse is not Subject.pulse

    def is_chained(self, device: D, trigger: Trigger) -> bool:
        """Return whether the first trigger makes all steps of a run."""
        del device, trigger
        return False

    def fire(self, device: D, trigger: Trigger, n: int) -> None:
        """Make `n` steps of a started run; a run on the device's own timer makes them itself."""
        if self.is_chained(device, trigger):
            self.pulse(device)
            return self.sleep(device, n * self.step_s(device))
        for _ in range(n if trigger is not Trigger.INTERNAL else 0):
            device.trigger() if trigger is Trigger.SOFTWARE else self.pulse(device)
            self.sleep(device, self.step_s(device))

    @shows(Check.TRIGGER)
    @each_trigger
    def test_what_it_cannot_be_triggered_by_is_refused(self, device: D, trigger: Trigger) -> None:
        if trigger in self.triggers(device):
            self.arm(device, trigger)
            assert_state(device, State.ARMED)
            device.disarm()
        else:
            self.assert_refused(device, f"a {trigger} trigger", lambda d: self.arm(d, trigger), AbilityError)

    @shows(Check.SEQUENCE, Check.TRIGGER)
    @each_trigger
    def test_a_run_ends_when_all_steps_are_done_and_can_be_armed_again(self, device: D, trigger: Trigger) -> None:
        self._declared_or_skip(device, trigger)
        for _ in range(2):
            self.arm(device, trigger)
            device.start()
            self.fire(device, trigger, self.n_steps)
            device.wait(self.patience_s)
            assert_state(device, State.ARMED, "after all steps are done: a run ends by disarm only,")
            device.disarm()
            device.disarm()
            assert_state(device, State.OPEN)

    @shows(Check.TIMEOUT)
    @each_trigger
    def test_a_run_that_was_not_started_is_not_done(self, device: D, trigger: Trigger) -> None:
        self._declared_or_skip(device, trigger)
        self.arm(device, trigger)
        self._assert_not_done(device, "it was not started")
        device.start()
        self.fire(device, trigger, self.n_steps)
        device.wait(self.patience_s)

    @shows(Check.TRIGGER)
    @pytest.mark.parametrize("trigger", [Trigger.SOFTWARE, Trigger.HARDWARE])
    def test_a_run_waits_for_each_of_its_triggers(self, device: D, trigger: Trigger) -> None:
        self._declared_or_skip(device, trigger)
        self._single_or_skip(device, trigger)
        self.arm(device, trigger)
        device.start()
        for done in range(self.n_steps):
            self._assert_not_done(device, f"{done} of {self.n_steps} triggers came")
            self.fire(device, trigger, 1)
        device.wait(self.patience_s)

    @shows(Check.SEQUENCE)
    @pytest.mark.parametrize("end", ["disarm", "make_safe"])
    @pytest.mark.parametrize("started", [False, True], ids=["armed", "started"])
    def test_an_abandoned_run_leaves_nothing_behind(self, device: D, end: str, started: bool) -> None:
        for trigger in sorted(self.triggers(device)):
            self.arm(device, trigger)
            if started:
                device.start()
            if end == "disarm":
                device.disarm()
            else:
                device.make_safe()
                device.resume()
            assert_state(device, State.OPEN)
            self.arm(device, trigger)
            self._assert_not_done(device, "the run before was abandoned and this one was not started")
            if self.can_fire(trigger):
                device.start()
                self.fire(device, trigger, self.n_steps)
                device.wait(self.patience_s)
            device.disarm()

    def _declared_or_skip(self, device: D, trigger: Trigger) -> None:
        if trigger not in self.triggers(device):
            does_not_apply(f"it has no {trigger} triggers")

    def _single_or_skip(self, device: D, trigger: Trigger) -> None:
        if self.is_chained(device, trigger):
            pytest.skip(f"{device.name}: one {trigger} trigger makes all steps of a run")

    def _assert_not_done(self, device: D, why: str) -> None:
        begin_s = device.clock.now_s()
        try:
            device.wait(self.impatience_s)
        except AcquisitionError:
            pass
        else:
            pytest.fail(f"{device.name}: wait() returned, but {why}")
        waited_s = device.clock.now_s() - begin_s
        assert waited_s <= self.impatience_s + self.grace_s, (
            f"{device.name}: waited {waited_s:g} s with a timeout of {self.impatience_s:g} s"
        )
        assert_state(device, State.ARMED)
