"""A YAML file that knows the line of every key."""

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Final, Self, TypeVar

from pydantic import BaseModel, ValidationError

from pnnlab.bench._messages import complaints
from pnnlab.bench._nodes import (
    MappingNode,
    Node,
    Plain,
    ScalarNode,
    SequenceNode,
    child,
    compose,
    dotted,
    expand,
    shown,
)
from pnnlab.errors import BenchFileError, Problem
from pnnlab.quantities import FROM_FILE

__all__ = ["Document", "KeyPath"]

KeyPath = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

MAX_BYTES: Final = 1 << 20
"""A bench file has a few kilobytes; something this large is another file."""
_BYTE_ORDER_MARKS: Final[Mapping[bytes, str]] = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


class Document:
    """The contents of a YAML 1.2 file, one mapping; never changes.

    Args:
        text: The file's text.
        file: The file's name as the user gave it, for messages.

    Raises:
        BenchFileError: The text is no such file; every problem is listed with its line.
    """

    def __init__(self, text: str, *, file: str) -> None:
        root = compose(text, file=file)
        if isinstance(root, ScalarNode) and root.value is None:
            raise BenchFileError([Problem(file, 0, "", "the file is empty", "write the sections bench and devices")])
        if not isinstance(root, MappingNode):
            found = f"the file holds {shown(expand(root, file=file))} instead of sections"
            raise BenchFileError([Problem(file, root.line, "", found, "write 'name: ...' lines, as 'bench:'")])
        data = expand(root, file=file)
        self.file: Final = file
        self.data: Final[Plain] = data
        self._root = root

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file.

        Args:
            path: The file.

        Raises:
            BenchFileError: It cannot be read, or holds no YAML mapping; every problem is listed with its line.
        """
        return cls(_read_text(Path(path)), file=str(path))

    def line_of(self, path: Sequence[str | int]) -> int:
        """Return the line of a key, or of the deepest part of its path that stands in the file.

        Args:
            path: Keys and list indices from the top.
        """
        node: Node = self._root
        line = 0
        for part in path:
            if isinstance(node, MappingNode) and isinstance(part, str) and part in node.entries:
                line, node = node.entries[part].line, node.entries[part].node
            elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
                line = node.line
            else:
                break
        return line

    def at(self, path: Sequence[str | int]) -> Plain:
        """Return what stands at a path, or `None` where nothing does."""
        try:
            return reduce(child, path, self.data)
        except LookupError:
            return None

    def problem(self, path: Sequence[str | int], found: str, allowed: str) -> Problem:
        """Return a problem with the value at a path."""
        return Problem(self.file, self.line_of(path), dotted(tuple(path)), found, allowed)

    def read(
        self,
        section: str | KeyPath,
        model: type[M],
        *,
        required: bool = True,
        context: Mapping[str, object] = FROM_FILE,
    ) -> M:
        """Return a section as a model.

        Args:
            section: Name of a top-level section, or the path of a deeper one.
            model: What the section must be.
            required: Whether the section must stand in the file; where it need not, the model's defaults serve.
            context: Validation context of the model.

        Raises:
            BenchFileError: Every problem of the section, with its line.
        """
        path = (section,) if isinstance(section, str) else section
        problems: list[Problem] = []
        value = self.check(path, model, problems, required=required, context=context)
        if value is None:
            raise BenchFileError(problems)
        return value

    def check(
        self,
        path: KeyPath,
        model: type[M],
        problems: list[Problem],
        *,
        required: bool = False,
        context: Mapping[str, object] = FROM_FILE,
    ) -> M | None:
        """Return a section as a model, or `None` after adding everything that is wrong with it to `problems`.

        Args:
            path: Path of the section; an empty section counts as an empty mapping.
            model: What the section must be.
            problems: Grows by what is wrong.
            required: Whether it is a problem that the section is missing.
            context: Validation context of the model.
        """
        data = self.at(path)
        if data is None:
            parent = self.at(path[:-1])
            if required and not (isinstance(parent, dict) and path[-1] in parent):
                problems.append(self.problem(path, "the section is missing", "add it"))
                return None
            data = {}
        try:
            # by way of JSON, because there pydantic's strict mode still knows tuples, enums and paths
            return model.model_validate_json(json.dumps(data), strict=True, context=dict(context))
        except ValidationError as error:
            for below, found, allowed in complaints(error.errors(include_url=False), model, data):
                problems.append(self.problem((*path, *below), found, allowed))
            return None


def _read_text(path: Path) -> str:
    def stop(found: str, allowed: str, line: int = 0) -> BenchFileError:
        return BenchFileError([Problem(str(path), line, "", found, allowed)])

    try:
        if path.is_dir():
            raise stop("this is a directory", "name the bench file in it")
        if path.exists() and not path.is_file():
            raise stop("this is no regular file", "name a bench file")
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise stop("there is no such file", f"look for it from {path.absolute().parent}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise stop(f"the file cannot be read: {reason}", "check its name and its permissions") from error
    if len(raw) > MAX_BYTES:
        raise stop(f"the file is larger than {MAX_BYTES >> 20} MiB", "name a bench file; it has a few kilobytes")
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if raw.startswith(mark):
            raise stop(f"the file is encoded in {encoding}", "save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise stop(f"the byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8 text", line) from error
    if "\0" in text:
        raise stop("the file holds NUL characters", "name a text file", text.count("\n", 0, text.index("\0")) + 1)
    return text
