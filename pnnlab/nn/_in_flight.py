"""Micro-batches in flight: while the bench measures one, the host works on another."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final, Generic, TypeVar

import greenlet
import numpy as np
import torch

from pnnlab.errors import StateError
from pnnlab.systems import FloatArray, Lane, Measurement, PendingShots, System

__all__ = ["SHALLOW", "ask", "run_in_flight"]

T = TypeVar("T")
_FIRST_WAVE: Final = 8
"""One part in so many of the micro-batches goes ahead: the bench begins with it while the host encodes the others, and
later bridges with it the time from the last reading of a layer to the first setpoint of the next."""
SHALLOW: Final = 2
"""Up to so many measurements of a micro-batch, all backward passes are made while the last ones are measured; of deeper
networks, while any layer is."""
_FINEST_TAPER: Final = 5
"""A wave of a deep network is one part in so many of what is left, or more where there are fewer measurements."""
_LEAST_WAVE: Final = 2
"""Micro-batches of a wave: while the host works on one, the bench measures the other."""
_IN_FLIGHT: Final = 2
"""Waves that are under way at once: the bench measures the one while the host turns round the other."""
_WAGE: Final = 3
_PRICE: Final = 2
"""A reading earns so much, and a work that was put off costs so much for each of its measurements: works come to their
ends half as often again as they come to their last reading, so that not many are ever put off."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A measurement that a micro-batch waits for."""

    system: System
    x: FloatArray
    theta: FloatArray

    def shares_controls(self, other: "_Request") -> bool:
        """Whether both are of one system under the same controls."""
        return (
            self.system is other.system
            and self.theta.ndim == other.theta.ndim == 1
            and (np.shares_memory(self.theta, other.theta) or np.array_equal(self.theta, other.theta))
        )

    @property
    def theta_of_each(self) -> FloatArray:
        """Return controls, shape `(batch, n_controls)`."""
        return np.broadcast_to(self.theta, (len(self.x), self.theta.shape[-1]))


class _Task(greenlet.greenlet, Generic[T]):
    """A micro-batch: host code that stops wherever it needs a measurement, and goes on with it.

    Mutable: it moves on whenever it is resumed.

    Args:
        work: The host code.
        before: Called each time before the code goes on; `None` if all tasks see the same.
    """

    def __init__(self, work: Callable[[], T], before: Callable[[], None] | None = None) -> None:
        super().__init__(self._run)
        self._work = work
        self.before = before
        self._grad = torch.is_grad_enabled()
        self.result: T | None = None
        self.request: _Request | None = None
        self.pending: tuple[PendingShots, int] | None = None
        self.n_answers = 0

    def _run(self, _: Measurement | None) -> None:
        self.result = self._work()

    def resume(self, answer: Measurement | None) -> None:
        """Go on to the next measurement, or to the end; whether gradients are recorded is each task's own matter."""
        outside = torch.is_grad_enabled()
        torch.set_grad_enabled(self._grad)
        self.request = self.pending = None
        self.n_answers += answer is not None
        try:
            if self.before is not None:
                self.before()
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


def run_in_flight(
    works: Sequence[Callable[[], T]], *, n_measurements: int = 1, before: Callable[[int], None] | None = None,
    at_once: bool = False,
) -> list[T]:  # fmt: skip
    """Run the host's work on micro-batches so that the bench never waits for it; return their results in order.

    Each piece of work is ordinary code, as a forward and a backward pass. Where it measures, it stops, and another goes
    on; so all of them run in this one thread, one at a time. They run in waves: the measurements that the micro-batches
    of a wave wait for are handed in as one run of the bench, fetched micro-batch by micro-batch. The order of
    measurements, and of everything that the works do, depends on the works alone and never on how fast anything is, so
    the results are those of a bench without any haste, bit for bit.

    Args:
        works: One for each micro-batch, all of one kind; two would be odd, as measuring in another order of layers.
        n_measurements: After how many measurements the longest part of a work comes, as the backward pass of so many
            layers. It is put off and spread over the measurements of others; a wrong number costs time only.
        before: Called with the number of a work each time before it goes on. So works can differ in something that they
            would otherwise share, as in the values of a model's parameters: whatever they find, they find as `before`
            left it. What they ask of a system is then one run of the bench even under different controls, where the
            system takes controls a sample.
        at_once: Hand in what all works ask for as one run a layer, instead of in waves; the bench then waits between
            two layers, and nothing is lost where time is simulated, or there are few works.

    Raises:
        Exception: The first that a work or its measurement raised; the others are given up, and nothing that they had
            asked for is measured any more.
    """
    if isinstance(greenlet.getcurrent(), _Task):
        raise StateError("run_in_flight was called by a micro-batch in flight; split the batch once only")
    tasks = [_Task(work, None if before is None else partial(before, k)) for k, work in enumerate(works)]
    depth = max(n_measurements, 1)
    try:
        _fly(tasks, depth, deque([tasks]) if at_once else _waves(tasks, depth))
    except BaseException:
        _give_up(tasks)
        raise
    return [task.result for task in tasks]  # type: ignore[misc] # every task has come to its end


def _fly(tasks: Sequence[_Task[T]], depth: int, waves: deque[Sequence[_Task[T]]]) -> None:
    """Bring all tasks to their ends, of which the longest part comes after so many measurements."""
    flight = deque[list[_Task[T]]]()
    put_off, credit = deque[_Task[T]](), 0
    # waves that are in the same layer at once would come to their backward passes at once
    apart = 0 if depth <= SHALLOW else depth // _IN_FLIGHT
    while waves or flight or put_off:
        while waves and len(flight) < _IN_FLIGHT and (not flight or tasks[0].n_answers >= apart):
            wave = waves.popleft()
            for task in wave:
                task.resume(None)
            flight.append(_handed_in(wave))
        further = []
        for task in flight.popleft() if flight else ():
            if task.n_answers == depth - 1:
                put_off.append(task)
            else:
                _go_on(task)
                further.append(task)
            credit = min(credit + _WAGE, _PRICE * depth)
            if put_off and credit == _PRICE * depth:
                credit = 0
                further.append(_go_on(put_off.popleft()))
        if not (flight or waves or any(task.request for task in further)):
            # nothing is left that the bench could measure meanwhile
            further += [_go_on(put_off.popleft()) for _ in range(len(put_off))]
        if wave := _handed_in(further):
            flight.append(wave)


def _waves(tasks: Sequence[_Task[T]], depth: int) -> deque[Sequence[_Task[T]]]:
    """Cut tasks into waves: as few as backward passes leave, because each measurement of each costs a run's start."""
    n, edges = len(tasks), [0, -(-len(tasks) // _FIRST_WAVE)]
    while n - edges[-1] > 0:
        # what is done after the last measurement of all is that of the last wave, so waves become smaller
        part = 1 if depth <= SHALLOW else min(depth, _FINEST_TAPER)
        size = max(round((n - edges[-1]) / part), _LEAST_WAVE)
        edges.append(n if n - edges[-1] - size < _LEAST_WAVE else edges[-1] + size)
    return deque(tasks[begin:end] for begin, end in pairwise(edges) if end > begin)


def _go_on(task: _Task[T]) -> _Task[T]:
    """Resume a task with what it waits for."""
    assert task.pending is not None  # noqa: S101 (it was handed in)
    task.resume(_fetch(*task.pending))
    return task


def _fetch(pending: PendingShots, chunk: int) -> Measurement:
    with pending.trace.span(Lane.HOST, "wait"):
        return pending.chunk(chunk)


def _handed_in(wave: Sequence[_Task[T]]) -> list[_Task[T]]:
    """Hand in what tasks wait for, in as few runs of the bench as possible; return those that wait for something."""
    found = [task for task in wave if task.request is not None]
    waiting = found
    while waiting:
        count = 1
        while count < len(waiting) and _joins(waiting[0], waiting[count]):
            count += 1
        group, waiting = waiting[:count], waiting[count:]
        pending = _submit([task.request for task in group if task.request is not None])
        for number, task in enumerate(group):
            task.pending = pending, number
    return found


def _joins(leader: _Task[T], other: _Task[T]) -> bool:
    """Whether what two tasks wait for can be one run of the bench."""
    first, second = leader.request, other.request
    assert first is not None and second is not None  # noqa: S101 (both wait)
    if leader.before is None or first.system.shares_controls:
        return first.shares_controls(second)
    return first.system is second.system


def _submit(requests: Sequence[_Request]) -> PendingShots:
    """Hand in requests as one run of the bench, a chunk each."""
    leader = requests[0]
    theta = leader.theta
    if not all(leader.shares_controls(other) for other in requests[1:]):
        theta = np.concatenate([request.theta_of_each for request in requests])
    xs = [request.x for request in requests]
    return leader.system.submit(xs[0] if len(xs) == 1 else np.concatenate(xs), theta, chunks=[len(x) for x in xs])


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
