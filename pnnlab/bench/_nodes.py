"""The tree of a YAML file, with the line of every key."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from pnnlab.bench._names import suggest
from pnnlab.errors import BenchFileError, Problem

__all__ = [
    "MappingNode",
    "Node",
    "Path",
    "Plain",
    "ScalarNode",
    "SequenceNode",
    "brief",
    "child",
    "compose",
    "dotted",
    "expand",
    "shown",
]

Scalar: TypeAlias = str | int | float | bool | None
Plain: TypeAlias = "Scalar | list[Plain] | dict[str, Plain]"
Path: TypeAlias = tuple[str | int, ...]

MAX_DEPTH: Final = 50
"""A bench file is a dozen levels deep; beyond this it is an accident or an attack."""
MAX_NODES: Final = 100_000
"""Keys and values after every alias is written out; a bench file has a few hundred."""
_LARGEST_INT: Final = 2**63

# YAML 1.2.2, section 10.3.2: the core schema, without the words and the sexagesimals of YAML 1.1
_NULL: Final = re.compile(r"(?:null|Null|NULL|~|)")
_BOOL: Final = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_INT: Final = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_SYNTAX: Final[Mapping[str, tuple[str, str]]] = {
    "mapping values are not allowed": (
        "a colon stands where no value can follow",
        "check the indentation, and put text that holds ': ' in quotes",
    ),
    "character '\\t'": ("a tab is used as indentation", "indent with spaces"),
    "that cannot start any token": ("a value starts with a character that YAML keeps for itself", "put it in quotes"),
    "unexpected end of stream": ("a quote is opened here and never closed", "close it"),
    "unexpected document separator": ("a quote is opened here and never closed", "close it"),
    "expected ',' or ']'": ("a list [...] is opened here and not closed, or a comma is missing", "add ] or a comma"),
    "expected ',' or '}'": ("a mapping {...} is opened here and not closed, or a comma is missing", "add } or a comma"),
    "expected the node content": ("a bracket or comma stands where a value is due", "remove it or put it in quotes"),
    "could not find expected ':'": ("a key has no colon", "write 'key: value', and indent what continues a value"),
    "expected alphabetic or numeric character": ("* and & start an alias or an anchor, which needs a name",
                                                 "put the text in quotes if it is none"),
    "undefined tag handle": ("tags (!...) are not read in this file", "remove the tag"),
    "expected <block end>": ("the line does not fit the lines above it",
                             "check the indentation, and put text with quotes or brackets in quotes as a whole"),
    "expected '<document start>'": ("the line does not fit the lines above it",
                                    "start all sections in the first column"),
    "unknown escape character": ("a backslash in double quotes starts an escape that YAML does not know",
                                 "write single quotes, or two backslashes"),
}  # fmt: skip
_AT_CONTEXT: Final = ("unexpected end of stream", "unexpected document separator", "expected ',' or")
"""For what was opened and never closed, the place where it was opened says more than the place where it was missed."""


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """Text, a number, true, false or nothing."""

    line: int
    value: Scalar


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list."""

    line: int
    items: list["Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MappingNode:
    """Keys and values, merge keys resolved."""

    line: int
    entries: dict[str, "Entry"] = field(default_factory=dict)


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping: its line and its value."""

    line: int
    node: Node


def brief(text: str) -> str:
    """Return a text, cut short where it is longer than a line of a message bears."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def dotted(path: Path) -> str:
    """Return a path as a person writes it: `devices.slm.options.roi[2]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + brief(part)
    return text


def child(here: Plain, part: str | int) -> Plain:
    """Return what stands below a key or index.

    Raises:
        LookupError: Nothing does.
    """
    if isinstance(here, dict) and isinstance(part, str):
        return here[part]
    if isinstance(here, list) and isinstance(part, int):
        return here[part]
    raise KeyError(part)


def shown(value: Plain) -> str:
    """Return a value as it would stand in the file, cut short where it is long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return brief(repr(value))


def compose(text: str, *, file: str) -> Node:
    """Return the tree of a YAML text of one document.

    Raises:
        BenchFileError: It is no YAML, not one document, or has duplicate keys, tags, endless aliases ...
    """
    composer = _Composer(text, file)
    try:
        root = composer.document()
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = Problem(file, line, "", f"the character U+{ord(text[error.position]):04X} is no text", "remove it")
        raise BenchFileError([problem]) from error
    except YAMLError as error:
        raise BenchFileError([*composer.problems, _syntax_problem(error, file)]) from error
    except (ValueError, OverflowError) as error:
        # the scanner turns \U escapes and %XX into characters without a look at their range
        problem = Problem(file, 0, "", f"an escape stands for no character ({error})", "write the character itself")
        raise BenchFileError([*composer.problems, problem]) from error
    if composer.problems:
        raise BenchFileError(composer.problems)
    return root


def expand(node: Node, *, file: str) -> Plain:
    """Return a tree as plain Python, every alias written out.

    Raises:
        BenchFileError: Written out, it is too large or too deep.
    """
    count = 0

    def plain(node: Node, path: Path, depth: int) -> Plain:
        nonlocal count
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise BenchFileError([_too_large(file, node.line, path, depth)])
        if isinstance(node, ScalarNode):
            return node.value
        if isinstance(node, SequenceNode):
            return [plain(item, (*path, i), depth + 1) for i, item in enumerate(node.items)]
        return {key: plain(entry.node, (*path, key), depth + 1) for key, entry in node.entries.items()}

    return plain(node, (), 0)


def _too_large(file: str, line: int, path: Path, depth: int) -> Problem:
    if depth > MAX_DEPTH:
        return Problem(file, line, dotted(path[:3]), f"more than {MAX_DEPTH} levels are nested", "write it flatter")
    found = f"the file has more than {MAX_NODES} values once its aliases are written out"
    return Problem(file, line, dotted(path[:3]), found, "remove aliases (*name) that repeat each other")


def _syntax_problem(error: YAMLError, file: str) -> Problem:
    if not isinstance(error, MarkedYAMLError):
        return Problem(file, 0, "", "the file is no YAML", "write 'key: value' lines")
    text = str(error.problem)
    mark = error.problem_mark
    if any(part in text for part in _AT_CONTEXT) and error.context_mark is not None:
        mark = error.context_mark
    line = 0 if mark is None else int(mark.line) + 1
    for part, (found, allowed) in _SYNTAX.items():
        if part in text:
            return Problem(file, line, "", found, allowed)
    return Problem(file, line, "", f"the file is no YAML here: {text}", "correct the line")


class _Composer:
    """Builds the tree from the parser's events; mutable: everything moves it on.

    Own code rather than the library's composer and constructor, because those recurse without a bound, stop at the
    first problem, know YAML 1.1's words and build Python objects.
    """

    def __init__(self, text: str, file: str) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._source = text
        self._events: Iterator[Event] = iter(())
        self._anchors: dict[str, Node | None] = {}
        self._count = 0

    def document(self) -> Node:
        self._events = YAML(typ="safe", pure=True).parse(self._source)
        root: Node | None = None
        for event in self._events:
            if isinstance(event, DocumentStartEvent) and root is not None:
                self._complain(_line(event), (), "a second document starts here", "keep one bench in a file")
                return root
            if isinstance(event, NodeEvent):
                root = self._node(event, (), 0)
            elif isinstance(event, DocumentEndEvent):
                self._anchors.clear()
        return ScalarNode(1, None) if root is None else root

    def _complain(self, line: int, path: Path, found: str, allowed: str) -> None:
        self.problems.append(Problem(self._file, line, dotted(path), found, allowed))

    def _stop(self, line: int, path: Path, depth: int) -> NoReturn:
        raise BenchFileError([*self.problems, _too_large(self._file, line, path, depth)])

    def _node(self, event: Event, path: Path, depth: int) -> Node:
        self._count += 1
        line = _line(event)
        if depth > MAX_DEPTH or self._count > MAX_NODES:
            self._stop(line, path, depth)
        if isinstance(event, AliasEvent):
            return self._alias(event, path)
        anchor = event.anchor if isinstance(event, NodeEvent) else None
        if anchor:
            self._anchors[anchor] = None  # known, not finished: an alias to it now would be a circle
        node = self._content(event, line, path, depth)
        if anchor:
            self._anchors[anchor] = node
        return node

    def _content(self, event: Event, line: int, path: Path, depth: int) -> Node:
        tag = getattr(event, "tag", None)
        if tag and not (isinstance(event, ScalarEvent) and tag in ("!", "tag:yaml.org,2002:str")):
            written = brief(str(tag).replace("tag:yaml.org,2002:", "!!"))
            self._complain(line, path, f"the tag {written} is not read in this file", "remove it; quotes make text")
        if isinstance(event, SequenceStartEvent):
            return self._sequence(line, path, depth)
        if isinstance(event, MappingStartEvent):
            return self._mapping(line, path, depth)
        if isinstance(event, ScalarEvent):
            return ScalarNode(line, self._scalar(event, path))
        raise AssertionError(f"the parser gave {event!r} where a value begins")

    def _alias(self, event: AliasEvent, path: Path) -> Node:
        name, line = str(event.anchor), _line(event)
        node = self._anchors.get(name)
        if node is not None:
            return node
        if name in self._anchors:
            self._complain(line, path, f"the alias *{brief(name)} stands inside what it repeats", "write it out")
        else:
            self._complain(
                line, path, f"no anchor &{brief(name)} stands above", suggest(name, self._anchors, noun="anchors")
            )
        return ScalarNode(line, None)

    def _sequence(self, line: int, path: Path, depth: int) -> SequenceNode:
        sequence = SequenceNode(line)
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            sequence.items.append(self._node(event, (*path, len(sequence.items)), depth + 1))
        return sequence

    def _mapping(self, line: int, path: Path, depth: int) -> MappingNode:
        mapping = MappingNode(line)
        merges: list[tuple[int, Node]] = []
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            plain = isinstance(event, ScalarEvent) and event.implicit[0] and not event.tag
            key_node = self._node(event, path, depth + 1)
            key = self._key(key_node, _line(event), path)
            if plain and key == "<<":
                merges.append((_line(event), self._node(next(self._events), (*path, key), depth + 1)))
                continue
            value = self._node(next(self._events), (*path, key), depth + 1)
            if key in mapping.entries:
                first = mapping.entries[key].line
                self._complain(_line(event), (*path, key), f"the key stands twice, first in line {first}", "keep one")
            mapping.entries.setdefault(key, Entry(_line(event), value))
        for merge_line, node in merges:
            self._merge(mapping, node, merge_line, path, depth)
        return mapping

    def _key(self, node: Node, line: int, path: Path) -> str:
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ScalarNode):
            self._complain(line, path, f"a key is {shown(node.value)}", "put it in quotes, keys are text")
            return str(node.value)
        self._complain(line, path, "a key is a list or a mapping", "keys are text; put text with braces in quotes")
        return "?"

    def _merge(self, into: MappingNode, node: Node, line: int, path: Path, depth: int) -> None:
        sources = node.items if isinstance(node, SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, MappingNode):
                self._complain(line, (*path, "<<"), "a merge key needs a mapping", "write '<<: *name' of a mapping")
                continue
            self._count += len(source.entries)
            if self._count > MAX_NODES:
                self._stop(line, path, depth)
            for key, entry in source.entries.items():
                into.entries.setdefault(key, entry)

    def _scalar(self, event: ScalarEvent, path: Path) -> Scalar:
        text = str(event.value)
        if event.tag or not event.implicit[0]:
            return self._text(text, _line(event), path)
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text[0] in "tT"
        number: int | float | None = None
        if _INT.fullmatch(text):
            # thirty digits are beyond every limit; Python itself refuses to convert thousands of them
            number = int(text) if len(text) < 30 else _LARGEST_INT
        elif _OTHER_BASE.fullmatch(text):
            number = int(text, 0) if len(text) < 30 else _LARGEST_INT
        elif _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
            number = float(text.replace(".inf", "inf").replace(".nan", "nan")) if _FLOAT.fullmatch(text) else math.inf
        if number is None:
            return self._text(text, _line(event), path)
        if not math.isfinite(number) or (isinstance(number, int) and abs(number) >= _LARGEST_INT):
            found = f"{brief(text)} is no finite number"
            self._complain(_line(event), path, found, "write a smaller one, or text in quotes")
        return number

    def _text(self, text: str, line: int, path: Path) -> str:
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
            self._complain(line, path, "the text holds an escape for no character (NUL or half a pair)", "remove it")
        return text


def _line(event: Event) -> int:
    mark = event.start_mark
    return int(mark.line) + 1
