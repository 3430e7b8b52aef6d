"""A SCPI instrument for tests: headers in long and short form, chains, blocks, an error queue, the common commands.

Written after IEEE 488.2 and SCPI-99, not after our client: a model of an instrument adds its tree of commands.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ScpiError", "ScpiFraming", "ScpiModel"]

Handler = Callable[..., str | bytes | None]


class ScpiError(Exception):
    """What goes into the error queue.

    Args:
        code: Its number.
        text: Its text.
    """

    def __init__(self, code: int, text: str) -> None:
        self.entry = f'{code},"{text}"'
        super().__init__(self.entry)


class ScpiModel:
    """Takes one message, returns its answer, or `None` where there is none.

    A handler gets the numbers that are in its header, then the arguments as texts, a block as bytes. What it returns
    is the answer to a query.

    Args:
        identity: The answer to `*IDN?`.
        tree: Handlers by header, as `SOURce#:VOLTage[:LEVel]:OFFSet?`.
    """

    def __init__(self, identity: str, tree: dict[str, Handler]) -> None:
        self.errors: list[str] = []
        common: dict[str, Handler] = {
            "*IDN?": lambda: identity, "*OPC?": lambda: "1", "*SRE?": lambda: "0", "*STB?": lambda: "0",
            "*CLS": self.errors.clear, "SYSTem:ERRor[:NEXT]?": self._next_error, "*WAI": lambda: None,
        }  # fmt: skip
        self._tree = [(_header(pattern), handler) for pattern, handler in {**common, **tree}.items()]
        self.gullible = False

    def __call__(self, message: bytes) -> bytes | None:
        """See `ScpiModel`."""
        answers: list[bytes] = []
        path = ""
        for unit in _split(message, b";"):
            header, _, rest = unit.lstrip().partition(b" ")
            name = header.decode("ascii").strip()
            # a header without a colon goes on where the last one was
            full = name.lstrip(":") if name[:1] in ":*" else path + name
            if name[:1] != "*":
                path = full.rpartition(":")[0] + ":" if ":" in full else ""
            try:
                answer = self._run(full, rest)
            except ScpiError as fault:
                if len(self.errors) < 20:
                    self.errors.append(fault.entry)
                continue
            if answer is not None:
                answers.append(answer if isinstance(answer, bytes) else answer.encode())
        return b";".join(answers) if answers else None

    def _run(self, header: str, rest: bytes) -> str | bytes | None:
        for pattern, handler in self._tree:
            if match := pattern.fullmatch(header):
                numbers = [int(group) if group else 1 for group in match.groups()]
                arguments = [_argument(part.lstrip()) for part in _split(rest, b",")] if rest else []
                try:
                    return handler(*numbers, *arguments)
                except TypeError as error:
                    raise ScpiError(-108, f"Parameter not allowed: {error}") from error
                except ValueError as error:
                    raise ScpiError(-104, f"Data type error: {error}") from error
        raise ScpiError(-113, f"Undefined header; {header}")

    def _next_error(self) -> str:
        return self.errors.pop(0) if self.errors else '+0,"No error"'


@dataclass(frozen=True)
class ScpiFraming:
    """Messages that end in a terminator which is not part of a block."""

    terminator: bytes = b"\n"

    def take(self, kept: bytearray) -> bytes | None:
        """Remove the first whole message and return it."""
        data, at = bytes(kept), 0
        while (end := data.find(self.terminator, at)) >= 0:
            block = _block(data, at, end)
            if block is None:
                kept[:] = data[end + len(self.terminator) :]
                return data[:end]
            if block > len(data):
                return None
            at = block
        return None

    def wrap(self, answer: bytes, terminator: bytes | None) -> bytes:
        """Return the bytes of an answer on the wire."""
        return answer + (self.terminator if terminator is None else terminator)


def _block(data: bytes, begin: int, end: int) -> int | None:
    """Return where a block ends that begins between two places; `None` where there is none."""
    match = re.compile(rb"[ ,]#([1-9])").search(data, begin, end + 3)
    if match is None:
        return None
    digits = data[match.end() : match.end() + int(match[1])]
    return match.end() + len(digits) + int(digits) if len(digits) == int(match[1]) else len(data) + 1


def _header(pattern: str) -> re.Pattern[str]:
    parts = []
    for node in re.findall(r"\[:?[^\]]+\]|[^:\[]+", pattern.removesuffix("?")):
        name = node.strip("[]:")
        number = r"(\d*)" if name.endswith("#") else ""
        name = name.removesuffix("#")
        short = "".join(c for c in name if not c.islower())
        text = f":(?:{re.escape(name)}|{re.escape(short)}){number}"
        parts.append(f"(?:{text})?" if node.startswith("[") else text)
    return re.compile("".join(parts).removeprefix(":") + r"\?" * pattern.endswith("?"), re.IGNORECASE)


def _split(data: bytes, separator: bytes) -> list[bytes]:
    """Return the parts between separators that stand neither in quotes nor in a block."""
    if b"#" not in data and b'"' not in data:
        return data.split(separator)
    parts, begin, at = [], 0, 0
    special = re.compile(b'"[^"]*"|#([1-9])|' + re.escape(separator))
    while match := special.search(data, at):
        at = match.end()
        if match[1]:
            digits = data[at : at + int(match[1])]
            at += len(digits) + (int(digits) if digits.isdigit() else 0)
        elif match[0] == separator:
            parts.append(data[begin : match.start()])
            begin = at
    return [*parts, data[begin:]]


def _argument(part: bytes) -> str | bytes:
    if part[:1] == b"#":
        n = int(part[1:2])
        return part[2 + n :]
    return part.decode("latin-1").strip().strip('"')
