"""One instrument with two roles: a card that makes voltages on three outputs and measures them on two inputs."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from pnnlab.devices import ADC, DAC, Identity, Limits, SimulatedClock, Stamps, State, Trigger
from pnnlab.errors import AbilityError, AcquisitionError, StateError

Floats = npt.NDArray[np.floating]
VOLTS = np.array([1.0, 2.0, 3.0])


class Card(DAC, ADC):
    """Inputs 0 and 1 see outputs 0 and 1; one start begins the waveform and the records."""

    joins_runs = True
    n_outputs = 3
    n_inputs = 2
    max_update_rate_hz = 1e3
    max_sample_rate_hz = 500.0
    max_samples = 16
    range_v = (-10.0, 10.0)
    waveform_triggers = frozenset({Trigger.INTERNAL})
    triggers = frozenset({Trigger.HARDWARE, Trigger.SOFTWARE})
    chains_records = True

    def _open(self) -> None:
        self._volts: Floats = np.zeros(3)
        self._waveform: Floats | None = None
        self.log: list[str] = []

    def _identify(self) -> Identity:
        return Identity("pnnlab tests", "card", "1")

    def _close(self) -> None:
        """Nothing to let go."""

    def _make_safe(self) -> None:
        self._volts = np.zeros(3)

    def _hard_limits(self) -> Mapping[str, Limits]:
        return {"voltage": Limits(-10.0, 10.0)}

    @property
    def present_v(self) -> Floats:
        return self._volts.copy()

    def _write(self, volts: Floats) -> None:
        self._volts = volts.copy()

    def _arm_waveform(self, volts: Floats, rate_hz: float, trigger: Trigger) -> None:
        self._waveform = volts.copy()

    def _arm_records(self, n: int, n_samples: int, rate_hz: float, trigger: Trigger) -> int | None:
        return None

    def _start(self) -> None:
        self.log.append("start")
        if self._waveform is not None:
            self._volts = self._waveform[-1].copy()

    def _trigger(self) -> None:
        """The record is there at once."""

    def _wait(self, timeout_s: float) -> None:
        """The waveform is over at once."""

    def _disarm(self) -> None:
        self.log.append("disarm")
        self._waveform = None

    def _read(self, out: npt.NDArray[np.number], timeout_s: float) -> Stamps:
        out[...] = self._volts[:2]
        return Stamps(len(out), 1e-3)


class AloneCard(Card):
    """A card that does one thing at a time."""

    joins_runs = False


def opened(kind: type[Card] = Card) -> Card:
    return kind("card", clock=SimulatedClock()).open()


def arm_records(card: Card) -> None:
    card.arm_records(1, n_samples=2, rate_hz=100.0, trigger=Trigger.HARDWARE)


def arm_waveform(card: Card) -> None:
    card.arm_waveform(np.tile(VOLTS, (2, 1)), rate_hz=100.0, trigger=Trigger.INTERNAL)


def test_runs_of_both_roles_are_armed_started_and_ended_together() -> None:
    with opened() as card:
        arm_records(card)
        arm_waveform(card)
        card.start()
        np.testing.assert_array_equal(card.read(1, timeout_s=1.0).volts, [[VOLTS[:2], VOLTS[:2]]])
        card.disarm()
        assert card.state is State.OPEN and card.log == ["start", "disarm"]


def test_voltages_are_written_while_records_are_armed() -> None:
    with opened() as card:
        arm_records(card)
        card.write(VOLTS)
        assert card.state is State.ARMED
        np.testing.assert_array_equal(card.read(1, timeout_s=1.0).volts[0, 0], VOLTS[:2])


@pytest.mark.parametrize("arm", [arm_records, arm_waveform])
def test_a_role_whose_run_is_armed_is_not_armed_again(arm: object) -> None:
    with opened() as card:
        assert callable(arm)
        arm(card)
        with pytest.raises(StateError, match="disarm"):
            arm(card)
        card.disarm()
        arm(card)


def test_no_voltages_are_written_while_a_waveform_is_armed() -> None:
    with opened() as card:
        arm_waveform(card)
        with pytest.raises(StateError, match="a run is armed"):
            card.write(VOLTS)


def test_after_the_safe_state_nothing_is_armed() -> None:
    with opened() as card:
        arm_records(card)
        card.make_safe()
        with pytest.raises(StateError):
            arm_waveform(card)
        card.resume()
        arm_records(card)
        arm_waveform(card)


def test_a_refused_arming_leaves_the_other_run_armed() -> None:
    with opened() as card:
        arm_records(card)
        with pytest.raises(AbilityError, match="holds 16"):
            card.arm_waveform(np.zeros((17, 3)), rate_hz=100.0, trigger=Trigger.INTERNAL)
        assert card.state is State.ARMED
        assert card.read(1, timeout_s=1.0).stamps.count == 1


def test_a_card_that_joins_no_runs_does_one_thing_at_a_time() -> None:
    with opened(AloneCard) as card:
        arm_records(card)
        for call in (arm_waveform, lambda card: card.write(VOLTS)):
            with pytest.raises(StateError, match="a run is armed"):
                call(card)


def test_the_start_of_a_waveform_is_told_by_those_who_can() -> None:
    class TellingCard(Card):
        start_error_s = 1e-6
        _begun: float | None = None

        def _start(self) -> None:
            self._begun = self.clock.now_s()

        def _begun_s(self) -> float:
            if self._begun is None:
                raise AcquisitionError("the waveform has not begun")
            return self._begun

    with opened() as card:
        arm_waveform(card)
        with pytest.raises(AbilityError, match="cannot tell when a waveform began"):
            card.begun_s()
    with opened(TellingCard) as card:
        with pytest.raises(StateError):
            card.begun_s()
        arm_waveform(card)
        with pytest.raises(AcquisitionError):
            card.begun_s()
        card.clock.sleep_until(3.0)
        card.start()
        assert card.begun_s() == 3.0
