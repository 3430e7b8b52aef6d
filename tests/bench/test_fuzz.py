"""Whatever stands in a file, it is read or refused with `BenchFileError`, never anything else."""

import random
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pnnlab.bench import BenchFile
from pnnlab.bench._document import Document
from pnnlab.errors import BenchFileError

GOOD = (Path(__file__).parent / "bench.yaml").read_text(encoding="utf-8")
# the punctuation that means something in YAML, and words that turn into other types
PIECES = [
    *"{}[]&*!|>%@`#:,-?~'\"\\\n\t ", "<<", "---\n", "...\n", "!!python/name:os.system", "&a ", "*a", ": ", "- ", "null",
    "true", "1", "-1", "1e999", ".nan", "0x", "9" * 40, "é", "\x85", "\ufeff", "\u2028", "\\ud800", "\\x00", "5 V",
    "±", " to ", "%YAML 1.1\n", "? ", "|\n  ",
]  # fmt: skip
SHARED = [HealthCheck.function_scoped_fixture]


def load(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    try:
        file = BenchFile.load(path)
    except BenchFileError as error:
        assert error.problems
        lines = raw.count(b"\n") + raw.count(b"\r") + len(raw.decode("utf-8", "replace").splitlines()) + 1
        for problem in error.problems:
            assert 0 <= problem.line <= lines
            assert problem.found
            assert problem.allowed
            str(problem).encode()
    else:
        assert len(file.hash) == 64


@settings(max_examples=200, suppress_health_check=SHARED)
@given(raw=st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, raw: bytes) -> None:
    load(tmp_path / "bench.yaml", raw)


@settings(max_examples=200, suppress_health_check=SHARED)
@given(text=st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=30).map("".join))
@example("? {}\n")
@example("a: !<tag:yaml.org,2002:int> x\n")
def test_any_text(tmp_path: Path, text: str) -> None:
    load(tmp_path / "bench.yaml", text.encode("utf-8", "replace"))


@settings(max_examples=300, suppress_health_check=SHARED)
@given(seed=st.integers(0, 2**32), pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=4))
def test_a_good_file_with_random_changes(tmp_path: Path, seed: int, pieces: list[str]) -> None:
    generator, text = random.Random(seed), GOOD  # noqa: S311  # where to change a text is no secret
    for piece in pieces:
        start = generator.randrange(len(text))
        text = text[:start] + piece + text[start + generator.choice([0, 0, 1, 5, 40]) :]
    load(tmp_path / "bench.yaml", text.encode())


def values() -> st.SearchStrategy[object]:
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(PIECES)
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    )


@settings(max_examples=300, suppress_health_check=SHARED)
@given(value=values(), data=st.data())
def test_a_good_file_with_any_value_anywhere(tmp_path: Path, value: object, data: st.DataObject) -> None:
    """Put a value in the place of another one, so that the models and not the parser must refuse it."""
    tree = Document(GOOD, file="bench.yaml").data
    here = tree
    while True:
        assert isinstance(here, dict | list)
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = data.draw(st.sampled_from(keys))
        inner = here[key]  # type: ignore[index,call-overload]  # key is of here's kind
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            here[key] = value  # type: ignore[index,call-overload,assignment]  # the same
            break
        here = inner
    load(tmp_path / "bench.yaml", flow(tree).encode("utf-8", "surrogatepass"))


def flow(value: object) -> str:
    """Return YAML for any value: flow style, text in double quotes with every unusual character escaped."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        return (
            '"' + "".join(c if (c.isalnum() and c.isascii()) or c in " :." else f"\\U{ord(c):08x}" for c in value) + '"'
        )
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).replace("inf", ".inf").replace("nan", ".nan")
    return "~" if value is None else str(value)
