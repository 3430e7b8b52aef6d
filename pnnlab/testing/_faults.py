"""How a fake instrument misbehaves."""

from dataclasses import dataclass

__all__ = ["Faults"]


@dataclass(frozen=True)
class Faults:
    """How a fake instrument misbehaves; by itself it does not.

    Attributes:
        silent: It takes messages, does nothing, and answers nothing.
        busy: Answered to every message instead of doing what it says.
        late_s: How long each answer is held back, in s.
        lost_every: Every how many answers one gets lost, after the message was obeyed; 0 for none.
        partial: How many bytes of each answer are sent, the rest never; `None` for all.
        terminator: What ends an answer instead of what should; `None` for what should.
        garbage: Sent ahead of each answer.
        echo: Every message is sent back ahead of its answer.
        one_by_one: Every byte of an answer is sent for itself, which is legal and meets many a driver unprepared.
        drop: The connection is ended by the next message.
        reset_on_open: Every new connection resets it, as the line DTR does to many boards.
    """

    silent: bool = False
    busy: bytes | None = None
    late_s: float = 0.0
    lost_every: int = 0
    partial: int | None = None
    terminator: bytes | None = None
    garbage: bytes = b""
    echo: bool = False
    one_by_one: bool = False
    drop: bool = False
    reset_on_open: bool = False
