"""The one thread that owns the devices of a system while they measure."""

import threading
from collections import deque
from typing import Final, Protocol

__all__ = ["DeviceThread", "Job"]

_IDLE_S: Final = 2.0
"""After this time without work the thread ends; the next job starts a new one."""


class Job(Protocol):
    """Work for the devices."""

    def run(self) -> None:
        """Do it; whatever goes wrong is kept for the one who waits."""
        ...

    def fail(self, error: BaseException) -> None:
        """Take note that it will not be done."""
        ...


class DeviceThread:
    """Runs jobs one after the other, in the order in which they were handed in.

    Systems that share a device share a thread, so that no two of them ever speak to it at once.

    Mutable: jobs come and go.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._running: Job | None = None

    def submit(self, job: Job) -> None:
        """Hand in a job; returns at once."""
        with self._changed:
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=f"pnnlab {self.name}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def drop(self, error: BaseException) -> None:
        """Fail every job that has not begun."""
        with self._changed:
            dropped = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
        for job in dropped:
            job.fail(error)

    def join(self, timeout_s: float) -> bool:
        """Wait until no job is left; return whether that is so."""
        if threading.current_thread() is self._thread:
            return True  # asked by a job: waiting for itself would last for ever
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs and self._running is None, timeout_s)

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in this thread."""
        return threading.current_thread() is self._thread

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: bool(self._jobs), _IDLE_S):
                    self._thread = None
                    return
                job = self._running = self._jobs.popleft()
            try:
                job.run()
            finally:
                with self._changed:
                    self._running = None
                    self._changed.notify_all()
                del job  # or its arrays would live until the next one
