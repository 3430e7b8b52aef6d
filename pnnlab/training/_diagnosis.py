"""What bounds the speed of training, and what would change it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pnnlab.training._account import Account
from pnnlab.training._prediction import Prediction

__all__ = ["Bound", "Diagnosis", "Tuning", "judge"]

_ENOUGH: Final = 0.95
"""From this duty on there is nothing to be gained that would be worth a change."""
_WORTH: Final = 0.01
"""Another micro-batch is proposed where it gains this part of the time."""


class Bound(StrEnum):
    """What bounds the speed."""

    HARDWARE = "hardware"
    MICRO_BATCH = "micro-batch"
    HOST = "host"
    ENCODE = "encode"
    OPTIMISER = "optimiser"
    ARMING = "arming"
    DECODE = "decode"
    RETAKES = "retakes"
    BENCH = "bench"


_OF_THE_HOST: Final = frozenset({Bound.HOST, Bound.ENCODE, Bound.OPTIMISER})


@dataclass(frozen=True, slots=True)
class Tuning:
    """What another micro-batch would change, by the model of `overrun`.

    Attributes:
        micro_batch: The present one.
        best: The best one.
        gain_s: Time that it would save in all steps.
        host_shot_s: Time of the backward pass for a shot.
        bench_shot_s: See `shot_s` of `overrun`.
    """

    micro_batch: int
    best: int
    gain_s: float
    host_shot_s: float
    bench_shot_s: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What bounds the speed, and by how much another choice would raise it.

    Attributes:
        bound: What takes most of the time but the measuring itself.
        share: The part of the time that it takes; of `HARDWARE` the duty.
        now: The duty; where the devices do not tell how fast they are, the part of the time in which the bench did not
            wait for the host.
        possible: What `now` would become without it, or with the best micro-batch; an estimate.
        micro_batch: The one to choose, where another is better.
        text: The same in a sentence or two.
    """

    bound: Bound
    share: float
    now: float
    possible: float
    micro_batch: int | None
    text: str


def judge(found: Account | Prediction, tuning: Tuning | None, *, retaken_s: float = 0.0) -> Diagnosis:
    """Say what bounds the speed.

    Args:
        found: Where the time went, or would go.
        tuning: What another micro-batch would change; `None` where there are no backward passes to be hidden.
        retaken_s: Time of shots that were taken again, where `found` does not tell.
    """
    losses = _measured_losses(found) if isinstance(found, Account) else _predicted_losses(found, retaken_s)
    wall_s = found.wall_s
    useful_s = found.hardware_s
    if useful_s is None:
        useful_s = found.busy * wall_s if isinstance(found, Account) else found.bench_s
        losses = {bound: time_s for bound, time_s in losses.items() if bound in _OF_THE_HOST}
    what = "the busy part of the bench would be" if found.hardware_s is None else "duty would be"
    now = useful_s / wall_s
    bound = max(losses, key=lambda one: losses[one])
    if now >= _ENOUGH or losses[bound] <= 0:
        said = f"The hardware: it measures for {now:.0%} of the time; only faster devices or fewer shots would gain."
        return Diagnosis(Bound.HARDWARE, now, now, now, None, said)
    loss_s, share = losses[bound], losses[bound] / wall_s
    micro_batch = None
    if bound is Bound.HOST and tuning is not None and min(tuning.gain_s, loss_s) >= _WORTH * wall_s:
        bound, micro_batch, loss_s = Bound.MICRO_BATCH, tuning.best, min(tuning.gain_s, loss_s)
    possible = useful_s / (wall_s - loss_s)
    raised = f"{what} about {possible:.2f} instead of {now:.2f}"
    return Diagnosis(bound, share, now, possible, micro_batch, _text(bound, share, raised, tuning))


def _measured_losses(found: Account) -> dict[Bound, float]:
    waited = dict(found.waited_for)
    encode_s, optimiser_s = waited.pop("encode", 0.0), waited.pop("optimiser", 0.0)
    return {
        Bound.HOST: sum(waited.values()),
        Bound.ENCODE: encode_s,
        Bound.OPTIMISER: optimiser_s,
        Bound.ARMING: found.arming_s,
        Bound.DECODE: found.decode_s,
        Bound.RETAKES: found.retakes_s,
        Bound.BENCH: found.rest_s,
    }


def _predicted_losses(found: Prediction, retaken_s: float) -> dict[Bound, float]:
    return {
        Bound.HOST: found.overrun_s,
        Bound.ENCODE: found.encode_s,
        Bound.OPTIMISER: found.optimiser_s,
        Bound.RETAKES: retaken_s,
        Bound.BENCH: found.bench_s - (found.hardware_s or 0.0) - retaken_s,
    }


def _text(bound: Bound, share: float, raised: str, tuning: Tuning | None) -> str:
    texts: Mapping[Bound, str] = {
        Bound.ENCODE: f"Encoding: for {share:.0%} of the time the bench waits while shots are worked out. "
        f"With a smaller micro_batch fewer are needed to begin; without the wait {raised}.",
        Bound.OPTIMISER: f"The optimiser: the bench waits {share:.0%} of the time for its steps. "
        f"A larger batch makes fewer of them; without them {raised}.",
        Bound.ARMING: f"Loading and arming the devices: {share:.0%} of the time. "
        f"A larger batch makes fewer and longer runs; without it {raised}.",
        Bound.DECODE: f"Decoding: {share:.0%} of the time after the last reading of a run. "
        f"A smaller region of the sensor has less to decode; without it {raised}.",
        Bound.RETAKES: f"Retakes: {share:.0%} of the time goes into shots without a proven reading. "
        f"Calibrate latency and settling, and look at the trigger line; without them {raised}.",
        Bound.BENCH: f"The bench: for {share:.0%} of the time its devices settle for the first time in a run, are "
        f"late or change hands. A larger batch makes fewer and longer runs; without it {raised}.",
    }
    return texts.get(bound) or _host_text(bound, share, raised, tuning)


def _host_text(bound: Bound, share: float, raised: str, tuning: Tuning | None) -> str:
    waits = f"The host: for {share:.0%} of the time the bench waits for its work on micro-batches"
    if tuning is None:
        return f"{waits}. Without it {raised}."
    if bound is Bound.MICRO_BATCH:
        return f"{waits}. With micro_batch = {tuning.best} (now {tuning.micro_batch}) {raised}."
    if tuning.host_shot_s >= tuning.bench_shot_s:
        slow = (
            f"{tuning.host_shot_s * 1e3:.3g} ms a sample, the devices measure one in {tuning.bench_shot_s * 1e3:.3g} ms"
        )
        return (
            f"{waits}: its backward pass takes {slow}. A smaller or faster twin is needed; without the wait {raised}."
        )
    return f"{waits}, and no other micro_batch does better. A faster twin or a larger batch helps; without it {raised}."
