"""What a twin makes of each state that was read, one after the other."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from pnnlab.twins._twin import DigitalTwin

__all__ = ["stage_by_stage"]


def stage_by_stage(
    twin: DigitalTwin, drive: Sequence[Tensor], readings: Sequence[Tensor]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the twin's reading beside the bench's wherever one was taken; every time the twin goes on from the bench's.

    So the stages between two readings are compared by themselves, and no gradient leads from one pair to another.

    Args:
        twin: The twin.
        drive: As in `DigitalTwin.forward`.
        readings: As in `DigitalTwin.replay`.
    """
    state: Tensor | None = None
    first = twin.n_stages - len(readings)  # negative where more was read than the twin knows of
    for stage in range(twin.n_stages):
        state = twin.advance(stage, state, *drive)
        if stage - first >= 0:
            reading = readings[stage - first]
            yield twin.reading(stage, state), reading
            state = twin.anchored(stage, state.detach(), reading).detach()
