"""Binary blocks of IEEE 488.2 (8.7.9 and 8.7.10): `#`, a digit, as many digits that tell the length, the bytes."""

from pnnlab.errors import BlockError

__all__ = ["block", "parse_length"]


def block(payload: bytes) -> bytes:
    """Return bytes as a block of definite length."""
    digits = str(len(payload)).encode("ascii")
    return b"#%d%s%s" % (len(digits), digits, payload)


def parse_length(digits: bytes, *, who: str) -> int:
    """Return the length that the head of a block tells.

    Raises:
        BlockError: It is made of other characters than digits.
    """
    if not digits.isdigit():
        raise BlockError(f"{who}: the length of a block is {digits!r}; digits are due: check what is connected")
    return int(digits)
