"""A fake instrument that knows one conversation."""

from collections.abc import Iterable

__all__ = ["Script"]


class Script:
    """A fake instrument that knows one conversation: for each message that is due, the answer.

    Mutable: each message that comes moves it on.

    Args:
        conversation: Messages in their order, each with its answer, or with `None` where there is none.
    """

    def __init__(self, conversation: Iterable[tuple[bytes, bytes | None]]) -> None:
        self._due = list(conversation)
        self._wrong: list[str] = []

    def __call__(self, message: bytes) -> bytes | None:
        """Return the answer to a message; none to one that is not due."""
        due, answer = self._due[0] if self._due else (b"", None)
        if message != due or not self._due:
            self._wrong.append(f"{message!r} came, {due!r} was due" if self._due else f"{message!r} came at the end")
            return None
        del self._due[0]
        return answer

    def assert_done(self) -> None:
        """Assert that all messages came, no other one, and in their order."""
        assert not self._wrong, "; ".join(self._wrong)
        assert not self._due, f"{len(self._due)} messages are still due, the first is {self._due[0][0]!r}"
