"""The panel's motion and the record of exposures, against brute force."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pnnlab.errors import AcquisitionError, DeviceError
from pnnlab_drivers.sim._exposures import UNNUMBERED, ExposureLog
from pnnlab_drivers.sim._panel import PanelMotion

Change = tuple[float, int, np.ndarray]
"""When a pattern appears, its token, and its phases."""

programmes = st.lists(
    st.tuples(
        st.floats(1e-5, 20e-3),  # from the hand-over before to this one
        st.integers(1, 6),  # patterns
        st.floats(1e-3, 5e-3),  # from one to the next
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def panel(tau_s: float, *, kept_bytes: int = 2**27, log: ExposureLog | None = None) -> PanelMotion:
    rest = torch.full((1, 2, 2), 0.5, dtype=torch.float64)
    motion = PanelMotion("slm", rest, tau_s, rest_token=UNNUMBERED, kept_bytes=kept_bytes)
    if log is not None:
        log.reset_panel(motion.tau_s)
        log.show(motion.latest, now_s=0.0)
    return motion


def play(motion: PanelMotion, programme: list[tuple[float, int, float]], *, log: ExposureLog | None = None
         ) -> list[Change]:  # fmt: skip
    """Show a programme; return all patterns that truly appeared."""
    numbers = np.random.default_rng(1)
    changes: list[Change] = []
    now_s, token = 0.0, 0
    for gap_s, n, period_s in programme:
        now_s += gap_s
        targets = torch.as_tensor(numbers.uniform(0, 6, (n, 2, 2)))
        tokens = np.arange(token, token + n)
        schedule = motion.show(targets, start_s=now_s, period_s=period_s, handed_s=now_s, tokens=tokens)
        if log is not None:
            log.show(schedule, now_s=now_s)
        changes = [change for change in changes if change[0] < now_s - 1e-9]
        changes += [(now_s + k * period_s, token + k, targets[k].numpy()) for k in range(n)]
        token += n
    return changes


def followed(changes: list[Change], tau_s: float, time_s: float) -> np.ndarray:
    """Return the phase of a pixel that relaxes towards each pattern in turn, step by step."""
    phase, target, at_s = np.full((2, 2), 0.5), np.full((2, 2), 0.5), 0.0
    for start_s, _, pattern in changes:
        if start_s > time_s:
            break
        phase = target + (phase - target) * math.exp(-(start_s - at_s) / tau_s)
        target, at_s = pattern, start_s
    return target + (phase - target) * math.exp(-(time_s - at_s) / tau_s)


@given(programme=programmes, tau_s=st.floats(2e-4, 20e-3), share=st.floats(0, 1.3))
@settings(max_examples=150)
def test_pixels_follow_their_patterns_exponentially(
    programme: list[tuple[float, int, float]], tau_s: float, share: float
) -> None:
    motion = panel(tau_s)
    changes = play(motion, programme)
    # not right at a change, where a rounding decides which pattern it is
    time_s = share * changes[-1][0] + 1e-6
    if min(abs(time_s - start_s) for start_s, *_ in changes) > 1e-8:
        np.testing.assert_allclose(motion.phase_at(time_s).numpy(), followed(changes, tau_s, time_s), atol=1e-9)


@given(programme=programmes, share=st.floats(0, 1.2), length_s=st.floats(1e-4, 30e-3))
@settings(max_examples=150)
def test_the_record_of_an_exposure_is_what_was_on_the_panel(
    programme: list[tuple[float, int, float]], share: float, length_s: float
) -> None:
    log = ExposureLog(lambda: None)
    motion = panel(3e-3, log=log)
    changes = play(motion, programme, log=log)
    start_s = share * changes[-1][0]
    log.add("camera", starts_s=np.array([start_s]), duration_s=length_s, counters=np.zeros(1, np.int64), now_s=0.0)
    (exposure,) = log.exposures(1e3)
    # brute force: look which pattern is on the panel at 2000 moments of the exposure
    times_s = start_s + length_s * (np.arange(2000) + 0.5) / 2000
    begins_s = np.array([-np.inf, *(begin_s for begin_s, *_ in changes)])
    tokens = np.array([UNNUMBERED, *(token for _, token, _ in changes)])
    seen = tokens[np.searchsorted(begins_s, times_s, side="right") - 1]
    shares = dict.fromkeys(tokens.tolist(), 0.0) | dict(exposure.tokens)
    for token in tokens.tolist():
        assert shares[token] == pytest.approx(length_s * float((seen == token).mean()), abs=length_s / 900)
    assert sum(seconds for _, seconds in exposure.tokens) == pytest.approx(length_s, rel=1e-6)
    assert [token for token, _ in exposure.tokens] == sorted(token for token, _ in exposure.tokens)


def test_exposures_that_are_called_off_or_not_over_are_not_on_record() -> None:
    log = ExposureLog(lambda: None)
    play(panel(1e-3, log=log), [(0.0, 1, 1e-3)], log=log)
    numbers = log.add(
        "camera", starts_s=np.array([1.0, 2.0, 3.0]), duration_s=0.5, counters=np.arange(3), now_s=0.0
    )  # fmt: skip
    assert [exposure.number for exposure in log.exposures(2.6)] == numbers[:2].tolist()
    log.withdraw("camera", numbers[2:])
    assert len(log.exposures(10.0)) == 2


def test_the_start_of_a_run_looks_into_no_earlier_exposures() -> None:
    looks: list[int] = []
    log = ExposureLog(lambda: looks.append(1))
    play(panel(1e-3, log=log), [(0.0, 1, 1e-3)], log=log)
    for k in range(10):  # each the triggers of a run of 1000 frames, which are then read
        starts_s = 1.0 + k + np.arange(1000) * 1e-4
        before = len(looks)
        numbers = log.add("camera", starts_s=starts_s, duration_s=1e-5, counters=np.arange(1000), now_s=1.0 + k)
        assert len(looks) == before
        log.deliver(numbers.tolist(), now_s=2.0 + k)
    assert looks and log._n_pending < 5000


def test_the_record_of_exposures_is_bounded() -> None:
    log = ExposureLog(lambda: None)
    play(panel(1e-3, log=log), [(0.0, 1, 1e-3)], log=log)
    for k in range(30):
        starts_s = 1.0 + k + np.arange(5000) * 1e-4
        log.add("camera", starts_s=starts_s, duration_s=1e-5, counters=np.arange(5000), now_s=float(k))
    found = log.exposures(1e3)
    assert len(found) == 100_000
    assert found[-1].start_s == pytest.approx(1.0 + 29 + 4999e-4)


def test_what_the_panel_showed_long_ago_is_not_made_up() -> None:
    # room for four schedules of a pattern: 2 arrays of 4 numbers of 8 bytes each
    motion = panel(1e-3, kept_bytes=4 * 64)
    for k in range(50):
        target = torch.full((1, 2, 2), float(k), dtype=torch.float64)
        motion.show(target, start_s=1.0 + k, period_s=0.0, handed_s=1.0 + k, tokens=np.array([k]))
    assert len(motion.schedules) == 4
    assert motion.phase_at(47.5).mean().item() == pytest.approx(46.0, abs=1e-9)
    for look in (lambda: motion.phase_at(40.0), lambda: motion.mean_phases(np.array([40.0, 49.5]), 1e-3)):
        with pytest.raises(AcquisitionError, match=r"slm: the panel's state at 40 s is no longer known; read frames"):
            look()


def test_the_last_two_schedules_are_kept_whatever_their_size() -> None:
    motion = panel(1e-3, kept_bytes=1)
    for k in range(3):
        motion.show(
            torch.full((5, 2, 2), float(k), dtype=torch.float64), start_s=1.0 + k, period_s=1e-2, handed_s=1.0 + k,
            tokens=np.arange(5 * k, 5 * k + 5),
        )  # fmt: skip
    assert len(motion.schedules) == 2 and motion.phase_at(2.5).mean().item() == pytest.approx(1.0)


def test_patterns_out_of_the_order_of_time_are_refused() -> None:
    motion = panel(1e-3)
    target = torch.zeros(1, 2, 2, dtype=torch.float64)
    motion.show(target, start_s=2.0, period_s=0.0, handed_s=2.0, tokens=np.array([0]))
    with pytest.raises(DeviceError, match="before one that was given earlier"):
        motion.show(target, start_s=1.0, period_s=0.0, handed_s=1.0, tokens=np.array([1]))
    assert len(motion.schedules) == 2
