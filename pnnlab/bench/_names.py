"""Names in a bench file: how they are spelled, and the nearest right one to a wrong one."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar, overload

from pnnlab.errors import PnnlabError

__all__ = ["NAME_PATTERN", "BenchLookupError", "NamedMapping", "is_name", "suggest"]

T = TypeVar("T")
D = TypeVar("D")

NAME_PATTERN: Final = "^[A-Za-z0-9_-]+$"
"""Names become keys, file names and columns: letters, digits, - and _ only."""
_MOST_NAMES: Final = 16


class BenchLookupError(PnnlabError, LookupError):
    """A driver, plant, device or system cannot be had under the name that was asked for.

    Attributes:
        found: What is wrong with the name.
        allowed: Which names there are, or what to do.
    """

    def __init__(self, found: str, allowed: str) -> None:
        self.found = found
        self.allowed = allowed
        super().__init__(f"{found}; {allowed}")


class NamedMapping(Mapping[str, T]):
    """A read-only mapping that answers a wrong name with the nearest right one.

    Args:
        noun: What the names stand for, as `"device"`.
        items: The contents, in their order.
        empty: What to do where there are no contents at all, as `"open the bench first"`.
    """

    def __init__(self, noun: str, items: Mapping[str, T], *, empty: str = "") -> None:
        self._noun = noun
        self._items = dict(items)
        self._empty = empty

    def __getitem__(self, name: str) -> T:
        if name in self._items:
            return self._items[name]
        allowed = suggest(name, self._items, noun=f"{self._noun}s")
        raise BenchLookupError(f"no {self._noun} is named {name!r}", (not self._items and self._empty) or allowed)

    # the mixins of these two rely on KeyError, which shows its message in quotes

    def __contains__(self, name: object) -> bool:
        return name in self._items

    @overload
    def get(self, key: str, /) -> T | None: ...
    @overload
    def get(self, key: str, /, default: T | D) -> T | D: ...
    def get(self, key: str, /, default: T | D | None = None) -> T | D | None:
        """Return what has a name, or `default` where nothing has."""
        return self._items.get(key, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


def is_name(text: str) -> bool:
    """Return whether the text may name a device, plant or system."""
    return re.fullmatch(NAME_PATTERN, text) is not None and not text.endswith("\n")


def suggest(wrong: str, known: Iterable[str], *, noun: str) -> str:
    """Return the nearest known name as a question, or the list of known names.

    Args:
        wrong: What was written.
        known: The right names.
        noun: What they stand for, in the plural, as `"devices"`.
    """
    names = sorted(set(known))
    if not names:
        return f"there are no {noun}"
    folded = {name.casefold(): name for name in names}
    near = difflib.get_close_matches(wrong.casefold(), folded, n=1)
    if near:
        return f"did you mean {folded[near[0]]!r}?"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{noun} are {', '.join(names[:_MOST_NAMES])}{more}"
