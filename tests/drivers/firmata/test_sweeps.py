"""Records of sweeps: whatever is lost on the way, no record that counts as whole has a wrong code."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pnnlab_drivers.firmata._protocol import AnalogReading, Parser
from pnnlab_drivers.firmata._sweeps import RecordBuilder, Sweeps

TOP = 1023


def code_of(sweep: int, channel: int) -> int:
    """Return a code that names its sweep and its channel."""
    return (sweep * 8 + channel) % (TOP + 1)


def stream(n_sweeps: int, channels: tuple[int, ...]) -> bytes:
    return b"".join(
        bytes([0xE0 + c, code_of(s, c) % 128, code_of(s, c) // 128]) for s in range(n_sweeps) for c in sorted(channels)
    )


CHANNELS = st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True).map(tuple)


@given(CHANNELS, st.integers(1, 4), st.integers(0, 2), st.booleans())
def test_records_are_the_sweeps_after_the_trigger(
    channels: tuple[int, ...], n_samples: int, skipped: int, chained: bool
) -> None:
    sweeps, n = Sweeps(channels, TOP), 3
    builder = RecordBuilder(n, n_samples, skipped, chained=chained)
    ended = [
        s for message in Parser().feed(stream(20, channels)) if isinstance(message, AnalogReading)
        for s in sweeps.feed(message)
    ]  # fmt: skip
    builder.trigger()
    expected = []
    position = skipped
    for _ in range(n):
        expected.append([[code_of(position + k, c) for c in channels] for k in range(n_samples)])
        position += n_samples + (0 if chained else skipped)
    for sweep in ended:
        builder.add(sweep, len(channels))
        if not builder.busy:
            builder.trigger()
    found = [record.tolist() for record, _ in builder.ready]
    assert found == expected and all(intact for _, intact in builder.ready) and builder.left == 0


@settings(max_examples=200)
@given(CHANNELS.filter(lambda channels: len(channels) > 1), st.lists(st.integers(0, 100), min_size=1, max_size=5))
def test_lost_bytes_never_join_two_sweeps(channels: tuple[int, ...], gaps: list[int]) -> None:
    """A byte here and there, at least two sweeps apart; who loses whole sweeps gets the next ones."""
    data, position = bytearray(stream(40, channels)), 0
    for gap in gaps:
        position += gap + 6 * len(channels)
        if position < len(data):
            del data[position]
    sweeps = Sweeps(channels, TOP)
    found = [
        s for message in Parser().feed(bytes(data)) if isinstance(message, AnalogReading) for s in sweeps.feed(message)
    ]  # fmt: skip
    whole = [sweep for sweep in found if sweep is not None]
    assert len(whole) >= 40 - 2 * len(gaps) - 1
    for sweep in whole:
        numbers = {int(code - channel) // 8 for code, channel in zip(sweep, channels, strict=True)}
        assert len(numbers) == 1, f"{sweep} of channels {channels} is of several sweeps"


def test_channels_that_nobody_asked_for_are_left_out() -> None:
    sweeps = Sweeps((4, 2), TOP)
    found = [sweeps.feed(AnalogReading(channel, 10 * channel)) for channel in (1, 2, 3, 4, 5)]
    (sweep,) = found[3]
    assert sweep is not None and sweep.tolist() == [40, 20]
    assert [len(part) for part in found] == [0, 0, 0, 1, 0]


def test_a_code_above_the_highest_breaks_its_sweep() -> None:
    sweeps = Sweeps((0, 1), TOP)
    sweeps.feed(AnalogReading(0, 1024))
    assert sweeps.feed(AnalogReading(1, 5)) == [None]
    sweeps.feed(AnalogReading(0, 5))
    (sweep,) = sweeps.feed(AnalogReading(1, 6))
    assert sweep is not None and sweep.tolist() == [5, 6]


def test_what_is_interrupted_is_not_whole() -> None:
    builder = RecordBuilder(2, 2, 0, chained=False)
    for interrupted in (True, False):
        builder.trigger()
        if interrupted:
            builder.interrupt()
        while builder.busy:
            builder.add(np.array([1, 2]), 2)
    assert [intact for _, intact in builder.ready] == [False, True]
