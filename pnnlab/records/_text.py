"""Texts and names that every file format, every file system and every reader takes as they are."""

import re
from typing import Final

from pnnlab.errors import RecordError

__all__ = ["KIND_PATTERN", "NAME_PATTERN", "require_name", "require_text"]

KIND_PATTERN: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
NAME_PATTERN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,199}")
"""Names of netCDF variables, dimensions and attributes that are identifiers in Python, Julia and MATLAB too."""


def require_text(text: str, who: str) -> None:
    """Refuse what is no visible text on one line.

    Args:
        text: The text.
        who: What it is, for the message.

    Raises:
        RecordError: It is empty, or has line breaks, control characters or undecodable bytes.
    """
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise RecordError(f"{who} is {text!r}; write a text on one line")


def require_name(name: object, who: str) -> str:
    """Return the name of a variable, a dimension or an attribute in the file.

    Raises:
        RecordError: It is none.
    """
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise RecordError(f"{who} is named {name!r}; write up to 200 letters, digits and _, a letter first")
    return str.__str__(name)
