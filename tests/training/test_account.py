"""Where the time of training steps went: every moment counted once."""

from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pnnlab.systems import Lane, Span
from pnnlab.training import Load, course
from pnnlab.training._account import account, hardware_time
from pnnlab.training._diagnosis import Bound, Tuning, judge
from pnnlab.training._overlap import HostCost, best_micro_batch, host_cost, overrun
from pnnlab.training._prediction import predict

BENCH, HOST = Lane.BENCH, Lane.HOST


def spans(lane: Lane, *made: tuple[str, float, float], shots: int = 0) -> list[Span]:
    return [Span(lane, stage, begin, end, shots) for stage, begin, end in made]


A_STEP = [
    *spans(HOST, ("encode", 0.0, 1.0), ("wait", 1.0, 8.5), ("backward", 8.5, 11.0), ("optimiser", 11.0, 12.0)),
    *spans(BENCH, ("upload", 1.0, 2.0), ("expose", 2.0, 7.0), ("decode", 7.0, 8.0)),
]
"""12 s: the bench begins after 1 s, loads 1 s, measures 5 s, decodes 1 s, and waits 3.5 s for the host at the end."""


def two_steps() -> list[Span]:
    again = [Span(s.lane, s.stage, s.begin_s + 12, s.end_s + 12, s.shots) for s in A_STEP]
    return [*A_STEP, *again]


def test_an_account_by_hand() -> None:
    load = Load("optics", 0, shots=8, retaken=2, shot_s=1.0)
    found = account(two_steps(), [(0, 12), (12, 24)], [load], hardware_s=8.0)
    assert found.wall_s == 24 and found.steps_s == (12, 12)
    # 1 s of encoding twice; 4 s from the last decoding to the end, of which the host waits for 0.5 s, twice
    assert found.between_s == pytest.approx(2 * 1 + 2 * 3.5) and found.within_s == 0
    assert dict(found.waited_for) == pytest.approx({"encode": 2, "backward": 5, "optimiser": 2})
    assert found.arming_s == 2 and found.decode_s == 2 and found.retakes_s == 2
    assert found.duty == pytest.approx(8 / 24)
    assert found.rest_s == pytest.approx(24 - 9 - 8 - 2 - 2 - 2)
    assert sum(found.parts.values()) == pytest.approx(24)
    backward = found.stage(HOST, "backward")
    assert backward is not None and (backward.calls, backward.time_s, backward.mean_s) == (2, 5.0, 2.5)
    assert found.stage(BENCH, "backward") is None


def test_a_pause_in_the_middle_of_a_batch_is_the_host_s_where_it_hands_in_late() -> None:
    made = [
        *spans(HOST, ("encode", 0, 1), ("backward", 1, 4), ("encode", 4, 5), ("wait", 5, 8)),
        *spans(BENCH, ("expose", 1, 3), ("expose", 5, 8)),
    ]
    found = account(made, [(0, 8)], [], hardware_s=None)
    assert found.within_s == pytest.approx(2) and found.between_s == pytest.approx(1)
    assert dict(found.waited_for) == pytest.approx({"encode": 2, "backward": 1})
    assert found.duty is None and found.busy == pytest.approx(5 / 8)


moments = st.integers(0, 40)
made_spans = st.lists(
    st.tuples(st.sampled_from(list(Lane)), st.sampled_from(["encode", "wait", "expose", "decode", "upload"]), moments,
              moments),
    max_size=12,
)  # fmt: skip


@given(made_spans)
def test_a_lane_s_course_is_that_of_the_span_that_began_last(drawn: list[tuple[Lane, str, int, int]]) -> None:
    made = [Span(lane, stage, min(a, b), max(a, b)) for lane, stage, a, b in drawn]
    for lane in Lane:
        segments = course(made, lane, 5.0, 35.0)
        assert [s.end_s for s in segments[:-1]] == [s.begin_s for s in segments[1:]]
        assert (segments[0].begin_s, segments[-1].end_s) == (5.0, 35.0)
        for moment in np.arange(5.25, 35, 0.5):
            running = [s for s in made if s.lane is lane and s.begin_s <= moment < s.end_s]
            (segment,) = [s for s in segments if s.begin_s <= moment < s.end_s]
            # what was running before the course begins, began with it
            latest = max((max(s.begin_s, 5.0) for s in running), default=None)
            allowed = {s.stage for s in running if max(s.begin_s, 5.0) == latest} or {""}
            assert segment.stage in allowed


@given(made_spans, st.floats(0, 20))
def test_parts_add_up_to_all_of_the_time(drawn: list[tuple[Lane, str, int, int]], hardware_s: float) -> None:
    made = [Span(lane, stage, min(a, b), max(a, b)) for lane, stage, a, b in drawn]
    found = account(made, [(0, 20), (20, 40)], [Load("a", 0, 4, 1, 0.5)], hardware_s=hardware_s)
    assert sum(found.parts.values()) == pytest.approx(40)
    assert 0 <= found.between_s + found.within_s <= 40 and 0 <= found.busy <= 1
    assert sum(found.waited_for.values()) == pytest.approx(found.between_s + found.within_s)


def test_systems_that_share_devices_measure_one_after_the_other() -> None:
    shared = [Load("a", 0, 10, 0, 1.0), Load("b", 0, 5, 0, 2.0)]
    assert hardware_time(shared) == 20.0
    assert hardware_time([*shared, Load("c", 1, 100, 0, 0.3)]) == pytest.approx(30.0)
    assert hardware_time([*shared, Load("c", 1, 1, 0, 0.0)]) is None
    assert hardware_time([*shared, Load("c", 1, 0, 0, 0.0)]) == 20.0


def simulated_overrun(cost: HostCost, batch: int, size: int, shot_s: float) -> float:
    """Work through a batch event by event."""
    now_s, left = 0.0, batch
    measured = 0
    while left:
        n = min(size, left)
        measured += n
        now_s = max(now_s, measured * shot_s)
        now_s += cost.backward_call_s + n * cost.backward_shot_s + cost.other_s
        left -= n
    return now_s - batch * shot_s


@given(st.integers(1, 40), st.floats(1e-4, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_the_best_micro_batch_is_the_best(batch: int, shot_s: float, call: float, each: float, other: float) -> None:
    cost = HostCost(call, each, other)
    times = {n: simulated_overrun(cost, batch, n, shot_s) for n in range(1, batch + 1)}
    for size, time_s in times.items():
        assert overrun(cost, batch=batch, micro_batch=size, shot_s=shot_s) == pytest.approx(time_s)
    best = best_micro_batch(cost, batch=batch, shot_s=shot_s)
    assert times[best] == pytest.approx(min(times.values()))


def test_a_host_s_cost_is_a_line_through_micro_batches_of_several_sizes() -> None:
    made, steps, now = [], [], 0.0
    for size in (1, 4, 16, 64):
        begin = now
        for _ in range(3):
            made += [Span(HOST, "wait", now, now + 1), Span(HOST, "backward", now + 1, now + 1.5 + 0.25 * size, size)]
            now += 1.5 + 0.25 * size + 0.125
        steps.append((begin, now))
    found = host_cost(made, steps)
    assert found is not None
    assert found.backward_call_s == pytest.approx(0.5) and found.backward_shot_s == pytest.approx(0.25)
    assert found.other_s == pytest.approx(0.125) and found.of(8) == pytest.approx(2.625)
    assert host_cost(spans(HOST, ("wait", 0, 1)), [(0, 1)]) is None


def test_a_prediction_adds_what_nothing_hides() -> None:
    found = account(two_steps(), [(0, 12), (12, 24)], [Load("a", 0, 8, 0, 1.0)], hardware_s=None)
    cost = HostCost(0.5, 0.0, 0.0)
    known = predict(
        found, two_steps(), [(0, 12), (12, 24)], cost, bench_s=10.0, hardware_s=8.0, batch=4, micro_batch=2, shot_s=1.0
    )
    assert (known.encode_s, known.optimiser_s, known.overrun_s) == (2.0, 2.0, 1.0)
    assert known.wall_s == 15.0 and known.duty == pytest.approx(8 / 15) and sum(known.parts.values()) == 15.0


@pytest.mark.parametrize(
    ("stage", "bound", "told"),
    [("encode", Bound.ENCODE, "smaller micro_batch"), ("optimiser", Bound.OPTIMISER, "larger batch"),
     ("backward", Bound.HOST, "faster twin")],
)  # fmt: skip
def test_the_verdict_blames_what_the_bench_waits_for(stage: str, bound: Bound, told: str) -> None:
    made = [
        *spans(HOST, (stage, 0, 6), ("encode", 6, 6.1), ("wait", 6.1, 10)),
        *spans(BENCH, ("expose", 6.1, 10)),
    ]
    found = account(made, [(0, 10)], [Load("a", 0, 39, 0, 0.1)], hardware_s=3.9)
    verdict = judge(found, None if stage != "backward" else Tuning(4, 4, 0.0, 0.1, 0.2))
    assert verdict.bound is bound and told in verdict.text
    assert verdict.now == pytest.approx(0.39) and verdict.possible > 0.9


def test_the_verdict_knows_the_bench_s_own_losses() -> None:
    def verdict(*bench: tuple[str, float, float], retaken: int = 0, shot_s: float = 0.1) -> Bound:
        made = [*spans(HOST, ("encode", 0, 0.0), ("wait", 0, 10)), *spans(BENCH, *bench)]
        load = Load("a", 0, 40, retaken, shot_s)
        return judge(account(made, [(0, 10)], [load], hardware_s=hardware_time([load])), None).bound

    assert verdict(("upload", 0, 6), ("expose", 6, 10)) is Bound.ARMING
    assert verdict(("expose", 0, 4), ("decode", 4, 10)) is Bound.DECODE
    assert verdict(("expose", 0, 10), retaken=55) is Bound.RETAKES
    assert verdict(("expose", 0, 10)) is Bound.BENCH
    assert verdict(("expose", 0, 10), shot_s=0.249) is Bound.HARDWARE


def test_another_micro_batch_is_proposed_where_it_gains() -> None:
    made = [
        *spans(HOST, ("encode", 0, 0.0), ("wait", 0, 5), ("backward", 5, 10)),
        *spans(BENCH, ("expose", 0, 5)),
    ]
    found = account(made, [(0, 10)], [Load("a", 0, 50, 0, 0.1)], hardware_s=5.0)
    verdict = judge(found, Tuning(50, 5, 4.0, 0.01, 0.1))
    assert verdict.bound is Bound.MICRO_BATCH and verdict.micro_batch == 5
    assert "With micro_batch = 5 (now 50)" in verdict.text and verdict.possible == pytest.approx(5 / 6)
    slow = judge(found, Tuning(50, 5, 0.0, 0.2, 0.1))
    assert slow.bound is Bound.HOST and "A smaller or faster twin is needed" in slow.text


def test_accounts_do_not_change() -> None:
    found = account(A_STEP, [(0, 12)], [], hardware_s=None)
    assert isinstance(found.waited_for, MappingProxyType) and isinstance(found.idle_s, MappingProxyType)
