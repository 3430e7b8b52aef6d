"""The rules of a device's life: which calls it takes when, and how it ends."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import pytest

from pnnlab.devices import Device, State
from pnnlab.errors import DeviceError, StateError
from pnnlab.testing._checks import Check, quiet, shows
from pnnlab.testing._subject import Call, Subject, assert_state

__all__ = ["LifeRules", "raising"]

D = TypeVar("D", bound=Device)


class BrokenWireError(Exception):
    """Stands for what a vendor's library raises when the instrument is gone."""


class LifeRules(Subject[D]):
    """Closed, open, armed, safe, fault: what leads where."""

    @quiet
    def test_a_new_device_is_closed(self) -> None:
        device = self.make(clock=self.clock())
        device.close()
        device.make_safe()
        device.disarm()
        assert_state(device, State.CLOSED)
        with pytest.raises(StateError):
            _ = device.identity

    @quiet
    def test_before_opening_every_call_is_refused(self) -> None:
        device = self.make(clock=self.clock())
        _assert_all_refused(self, device, self._closed_calls())

    @quiet
    def test_after_closing_every_call_is_refused(self) -> None:
        calls = self._closed_calls()
        _assert_all_refused(self, self.example(), calls)

    def test_an_open_device_takes_its_calls(self, device: D) -> None:
        _assert_all_work(device, self.calls(device))

    def test_opening_twice_is_refused(self, device: D) -> None:
        with pytest.raises(StateError):
            device.open()
        assert_state(device, State.OPEN)
        _assert_all_work(device, self.calls(device))

    def test_a_closed_device_opens_again(self) -> None:
        device = self.make(clock=self.clock())
        identities = []
        for _ in range(3):
            device.open()
            assert_state(device, State.OPEN)
            _assert_all_work(device, self.calls(device))
            identities.append(device.identity)
            device.close()
            assert_state(device, State.CLOSED)
        assert len(set(identities)) == 1, f"the same instrument told different identities: {identities}"

    @quiet
    def test_closing_makes_safe_and_lets_go_once(self) -> None:
        device = self.make(clock=self.clock()).open()
        with _events(device) as events:
            device.close()
            device.close()
        assert events == ["_make_safe", "_close"]
        assert_state(device, State.CLOSED)

    @quiet
    def test_the_context_opens_and_closes(self) -> None:
        device = self.make(clock=self.clock())
        with device as entered:
            assert entered is device
            assert_state(device, State.OPEN)
        assert_state(device, State.CLOSED)
        with device.open() as entered:
            assert entered is device
        assert_state(device, State.CLOSED)

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
    @pytest.mark.parametrize("armed", [False, True], ids=["open", "armed"])
    def test_an_error_inside_the_context_leaves_it_safe_and_closed(
        self, error: type[BaseException], armed: bool
    ) -> None:
        device = self.make(clock=self.clock())
        with _events(device) as events, pytest.raises(error), device:
            if armed:
                self.arm_or_skip(device)
            raise error
        assert events == [*(["_disarm"] if armed else []), "_make_safe", "_close"]
        assert_state(device, State.CLOSED)

    def test_made_safe_every_call_is_refused_until_resume(self, device: D) -> None:
        calls = self.calls(device)
        device.make_safe()
        device.make_safe()
        assert_state(device, State.SAFE)
        _assert_all_refused(self, device, {**calls, **self.run_calls(), "open": lambda device: device.open()})
        device.settings()
        device.resume()
        assert_state(device, State.OPEN)
        _assert_all_work(device, calls)

    @quiet
    def test_resume_needs_a_safe_device(self, device: D) -> None:
        self.assert_refused(device, "resume of an open device", lambda device: device.resume(), StateError)

    @quiet
    def test_without_a_run_its_calls_are_refused(self, device: D) -> None:
        _assert_all_refused(self, device, self.run_calls())
        device.disarm()
        assert_state(device, State.OPEN)

    def test_armed_every_other_call_is_refused(self, device: D) -> None:
        calls = self.calls(device)
        self.arm_or_skip(device)
        _assert_all_refused(self, device, {**calls, "open": lambda device: device.open()})
        device.settings()
        device.disarm()
        assert_state(device, State.OPEN)
        _assert_all_work(device, calls)

    def test_making_safe_ends_an_armed_run(self, device: D) -> None:
        self.arm_or_skip(device)
        with _events(device) as events:
            device.make_safe()
        assert events == ["_disarm", "_make_safe"]
        device.resume()
        assert_state(device, State.OPEN, "after make_safe and resume of an armed run")
        self.arm_or_skip(device)

    @shows(Check.REOPENS)
    def test_a_hook_that_fails_puts_the_device_into_fault(self) -> None:
        with self.make(clock=self.clock()) as example:
            calls = self.calls(example)
        for name, call in calls.items():
            device = self.make(clock=self.clock()).open()
            with pytest.MonkeyPatch.context() as patch:
                for hook in self.hooks:
                    patch.setattr(device, hook, raising(BrokenWireError))
                with pytest.raises(DeviceError):
                    call(device)
            assert_state(device, State.FAULT, f"after {name} failed")
            _assert_all_refused(self, device, {**calls, "settings": lambda device: device.settings()})
            device.close()
            assert_state(device, State.CLOSED)
            with device:
                _assert_all_work(device, {name: call})

    @pytest.mark.parametrize("error", [BrokenWireError, KeyboardInterrupt])
    def test_a_half_done_opening_lets_go(self, error: type[BaseException]) -> None:
        device = self.make(clock=self.clock())
        with pytest.MonkeyPatch.context() as patch, _events(device) as events:
            patch.setattr(device, "_identify", raising(error))
            with pytest.raises(DeviceError if issubclass(error, Exception) else error):
                device.open()
        assert events == ["_close"], f"a half-done opening called {events}, due is _close only"
        assert_state(device, State.CLOSED)
        with device:
            _assert_all_work(device, self.calls(device))

    def _closed_calls(self) -> dict[str, Call[D]]:
        with self.make(clock=self.clock()) as example:
            calls = self.calls(example)
        always: dict[str, Call[D]] = {"settings": lambda device: device.settings(), "resume": lambda d: d.resume()}
        return {**calls, **self.run_calls(), **always}


def _assert_all_refused(subject: Subject[D], device: D, calls: Mapping[str, Call[D]]) -> None:
    for name, call in calls.items():
        subject.assert_refused(device, f"{name} of a device that is {device.state}", call, StateError)


def _assert_all_work(device: D, calls: Mapping[str, Call[D]]) -> None:
    for name, call in calls.items():
        call(device)
        assert device.state in (State.OPEN, State.ARMED), f"after {name} the device is {device.state}"
        device.disarm()
        assert_state(device, State.OPEN, f"after {name} and disarm")


@contextmanager
def _events(device: Device) -> Iterator[list[str]]:
    """Give a list that tells which hooks of the life's end were called, in their order."""
    events: list[str] = []

    def told(hook: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            events.append(hook)
            return real(*arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for hook in ("_disarm", "_make_safe", "_close"):
            patch.setattr(device, hook, told(hook, getattr(device, hook)))
        yield events


def raising(error: type[BaseException]) -> Callable[..., None]:
    """Return what stands for a driver's hook whose instrument is gone."""

    def call(*_: object, **__: object) -> None:
        raise error("the instrument is gone")

    return call
