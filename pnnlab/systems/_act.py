"""Something that the devices' thread does besides shots, while its caller waits."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from pnnlab.systems._thread import DeviceThread

__all__ = ["done_by"]

T = TypeVar("T")
_WAIT_S = 0.25
"""A waiting thread looks up so often, because some systems answer Ctrl-C between two waits only."""


def done_by(thread: DeviceThread, work: Callable[[], T]) -> T:
    """Return what a piece of work returns that is done after all that was handed in before.

    Args:
        thread: Owns the devices.
        work: It may raise; the caller gets the error.
    """
    if thread.is_current:
        return work()
    act = _Act(work)
    thread.submit(act)
    return act.result()


class _Act(Generic[T]):
    """A job whose result is waited for."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._done = threading.Event()
        self._results: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """See `Job.run`."""
        try:
            self._results.append(self._work())
        except BaseException as error:  # whoever waits gets it, Ctrl-C of a driver included
            self.fail(error)
        else:
            self._done.set()

    def fail(self, error: BaseException) -> None:
        """See `Job.fail`."""
        self._error = error
        self._done.set()

    def result(self) -> T:
        """Return it, waiting until it is there."""
        while not self._done.wait(_WAIT_S):
            pass
        if self._error is not None:
            raise self._error
        return self._results[0]
