"""Micro-batches in flight: while the bench measures one, the host works on another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import greenlet
import numpy as np
import torch

from pnnlab.errors import StateError
from pnnlab.systems import FloatArray, Lane, Measurement, PendingShots, System

__all__ = ["ask", "run_in_flight"]

T = TypeVar("T")
_FIRST_WAVE: Final = 8
"""One part in so many of the micro-batches goes ahead: the bench begins with it while the host encodes the others, and
later bridges with it the time from the last reading of a layer to the first setpoint of the next."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A measurement that a micro-batch waits for."""

    system: System
    x: FloatArray
    theta: FloatArray

    def joins(self, other: "_Request") -> bool:
        """Whether both can be one run of the bench."""
        return (
            self.system is other.system
            and self.theta.ndim == other.theta.ndim == 1
            and (np.shares_memory(self.theta, other.theta) or np.array_equal(self.theta, other.theta))
        )


class _Task(greenlet.greenlet, Generic[T]):
    """A micro-batch: host code that stops wherever it needs a measurement, and goes on with it.

    Mutable: it moves on whenever it is resumed.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(self._run)
        self._work = work
        self._grad = torch.is_grad_enabled()
        self.result: T | None = None
        self.request: _Request | None = None
        self.pending: tuple[PendingShots, int] | None = None

    def _run(self, _: Measurement | None) -> None:
        self.result = self._work()

    def resume(self, answer: Measurement | None) -> None:
        """Go on to the next measurement, or to the end; whether gradients are recorded is each task's own matter."""
        outside = torch.is_grad_enabled()
        torch.set_grad_enabled(self._grad)
        self.request = None
        try:
            self.switch(answer)
        finally:
            self._grad = torch.is_grad_enabled()
            torch.set_grad_enabled(outside)

    def ask(self, request: _Request) -> Measurement:
        """Stop until the request is answered; called within the task's own code."""
        self.request = request
        assert self.parent is not None  # noqa: S101 (only the main greenlet has none, and it asks nobody)
        answer: Measurement = self.parent.switch()
        return answer


def ask(system: System, x: FloatArray, theta: FloatArray) -> Measurement:
    """Measure a batch; within a micro-batch in flight others go on meanwhile."""
    task = greenlet.getcurrent()
    return task.ask(_Request(system, x, theta)) if isinstance(task, _Task) else system.measure(x, theta)


def run_in_flight(works: Sequence[Callable[[], T]]) -> list[T]:
    """Run the host's work on micro-batches so that the bench never waits for it; return their results in order.

    Each piece of work is ordinary code, as a forward and a backward pass. Where it measures, it stops, and another goes
    on; so all of them run in this one thread, one at a time. They run in two waves: the measurements that the micro-
    batches of a wave wait for are handed in as one run of the bench, fetched micro-batch by micro-batch. The order of
    measurements, and of everything that the works do, depends on the works alone and never on how fast anything is, so
    the results are those of a bench without any haste, bit for bit.

    Args:
        works: One for each micro-batch, all of one kind; two would be odd, as measuring in another order of layers.

    Raises:
        Exception: The first that a work or its measurement raised; the others are given up, and nothing that they had
            asked for is measured any more.
    """
    if isinstance(greenlet.getcurrent(), _Task):
        raise StateError("run_in_flight was called by a micro-batch in flight; split the batch once only")
    tasks = [_Task(work) for work in works]
    first = -(-len(tasks) // _FIRST_WAVE)
    waves = [wave for wave in (tasks[:first], tasks[first:]) if wave]
    try:
        for wave in waves:
            for task in wave:
                task.resume(None)
            _hand_in(wave)
        while waves:
            wave = waves.pop(0)
            for task in wave:
                if task.pending is not None:
                    task.resume(_fetch(*task.pending))
            _hand_in(wave)
            if any(task.pending is not None for task in wave):
                waves.append(wave)
    except BaseException:
        _give_up(tasks)
        raise
    return [task.result for task in tasks]  # type: ignore[misc] # every task has come to its end


def _fetch(pending: PendingShots, chunk: int) -> Measurement:
    with pending.trace.span(Lane.HOST, "wait"):
        return pending.chunk(chunk)


def _hand_in(wave: Sequence[_Task[T]]) -> None:
    """Hand in what the tasks of a wave wait for, in as few runs of the bench as possible."""
    for task in wave:
        task.pending = None
    waiting = [task for task in wave if task.request is not None]
    while waiting:
        leader = waiting[0].request
        assert leader is not None  # noqa: S101 (chosen so)
        count = 1
        while count < len(waiting) and _joins(leader, waiting[count].request):
            count += 1
        group, waiting = waiting[:count], waiting[count:]
        xs = [task.request.x for task in group if task.request is not None]
        pending = leader.system.submit(
            xs[0] if count == 1 else np.concatenate(xs), leader.theta, chunks=[len(x) for x in xs]
        )
        for number, task in enumerate(group):
            task.pending = pending, number


def _joins(leader: _Request, other: _Request | None) -> bool:
    return other is not None and leader.joins(other)


def _give_up(tasks: Sequence[_Task[T]]) -> None:
    """Unwind tasks that have begun, and let the bench come to rest: nothing goes on behind the error."""
    pendings = {id(task.pending[0]): task.pending[0] for task in tasks if task.pending is not None}
    for pending in pendings.values():
        pending.cancel()
    for task in tasks:
        if task and not task.dead:
            task.throw()
    for pending in pendings.values():
        pending.rest()
