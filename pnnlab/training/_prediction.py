"""The time that a real bench as fast as the simulated one would take, at best."""

from collections.abc import Sequence
from dataclasses import dataclass

from pnnlab.systems import Lane, Span
from pnnlab.training._account import Account, Window
from pnnlab.training._overlap import HostCost, overrun

__all__ = ["Prediction", "predict"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The time of the profiled steps on a real bench as fast as the simulated one; nobody has measured it.

    The bench's time is simulated, the host's is this computer's. The model: the host's work on micro-batches hides
    behind the measurement but for its overrun after the last reading (`overrun`); handing in the first shots of a
    batch and the optimiser hide behind nothing. Transfers, driver calls and late readings, which simulated devices
    know nothing of, would come on top.

    Attributes:
        bench_s: Bench time that the clock of the simulation counted, in s.
        hardware_s: The time that the devices alone need; `None` where they do not tell.
        overrun_s: Work on micro-batches after the last reading of each batch.
        encode_s: Encoding of the first shots of each batch.
        optimiser_s: The optimiser's steps.
    """

    bench_s: float
    hardware_s: float | None
    overrun_s: float
    encode_s: float
    optimiser_s: float

    @property
    def wall_s(self) -> float:
        """Return the predicted time of all steps."""
        return self.bench_s + self.overrun_s + self.encode_s + self.optimiser_s

    @property
    def duty(self) -> float | None:
        """Return the predicted duty; `None` where the devices do not tell how fast they are."""
        return None if self.hardware_s is None else self.hardware_s / self.wall_s

    @property
    def parts(self) -> dict[str, float]:
        """Return the parts of the predicted time in s, by what they are."""
        hardware_s = self.hardware_s or 0.0
        bench = {"the devices and what they lose": self.bench_s}
        if self.hardware_s is not None:
            bench = {"the devices measure": hardware_s, "first settling, loading, retakes": self.bench_s - hardware_s}
        return {
            **bench,
            "waiting for the host: last micro-batch": self.overrun_s,
            "waiting for the host: encoding": self.encode_s,
            "waiting for the host: optimiser": self.optimiser_s,
        }


def predict(
    account: Account, spans: Sequence[Span], steps: Sequence[Window], cost: HostCost | None, *, bench_s: float,
    hardware_s: float | None, batch: int, micro_batch: int, shot_s: float,
) -> Prediction:  # fmt: skip
    """Predict the time of steps on a real bench.

    Args:
        account: Of the steps on the simulated bench.
        spans: What was recorded in them.
        steps: Begin and end of each step.
        cost: What the host needs for a micro-batch; `None` where it makes no backward passes.
        bench_s: What the simulated clock counted in the steps.
        hardware_s: The time that the devices alone need for the shots of the steps; `None` where they do not tell.
        batch: Shots of the last layer in a step.
        micro_batch: Shots in a micro-batch.
        shot_s: See `overrun`.
    """
    encodings = sorted(
        (span.begin_s, span.end_s) for span in spans if span.lane is Lane.HOST and span.stage == "encode"
    )
    firsts = [next((e for e in encodings if begin_s <= e[0] < end_s), None) for begin_s, end_s in steps]
    optimiser = account.stage(Lane.HOST, "optimiser")
    after_s = 0.0 if cost is None else overrun(cost, batch=batch, micro_batch=micro_batch, shot_s=shot_s)
    return Prediction(
        bench_s=bench_s,
        hardware_s=hardware_s,
        overrun_s=after_s * len(steps),
        encode_s=sum(first[1] - first[0] for first in firsts if first is not None),
        optimiser_s=0.0 if optimiser is None else optimiser.time_s,
    )
