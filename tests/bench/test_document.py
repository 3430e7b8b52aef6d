"""Reading YAML with the line of every key."""

from pathlib import Path

import pytest
from pydantic import Field

from pnnlab.bench import Document
from pnnlab.errors import BenchFileError
from pnnlab.quantities import FrozenModel, Seconds

TEXT = """\
# a comment
training:
  epochs: 3
  warm_up: 2 s
  layers:
    - {width: 4}
    -
      width: 8
"""


class Layer(FrozenModel):
    width: int = Field(ge=1)


class Training(FrozenModel):
    epochs: int = 1
    warm_up_s: Seconds = 0.0
    layers: tuple[Layer, ...] = ()


def test_lines_of_keys_lists_and_what_is_missing() -> None:
    document = Document(TEXT, file="bench.yaml")
    assert document.line_of(("training",)) == 2
    assert document.line_of(("training", "warm_up")) == 4
    assert document.line_of(("training", "layers", 1, "width")) == 8
    assert document.line_of(("training", "layers", 0, "depth")) == 6, "a missing key is told where it should stand"
    assert document.line_of(("devices",)) == 0


def test_a_section_becomes_a_model_with_si_units() -> None:
    training = Document(TEXT, file="bench.yaml").read("training", Training)
    assert training == Training(epochs=3, warm_up_s=2.0, layers=(Layer(width=4), Layer(width=8)))


def test_a_deeper_section_can_be_read() -> None:
    assert Document(TEXT, file="bench.yaml").read(("training", "layers", 1), Layer) == Layer(width=8)


def test_a_section_that_may_be_missing_has_the_models_defaults() -> None:
    document = Document("bench: {name: a}\nempty:\n", file="bench.yaml")
    assert document.read("training", Training, required=False) == Training()
    assert document.read("empty", Training) == Training(), "a section with all its keys commented out"
    with pytest.raises(
        BenchFileError, match=r"^1 problem in the bench file\n  bench.yaml: training: the section is miss"
    ):
        document.read("training", Training)


def test_problems_of_a_section_are_told_with_key_and_line() -> None:
    text = TEXT.replace("2 s", "2").replace("width: 8", "width: 0").replace("epochs", "epoch")
    with pytest.raises(BenchFileError) as caught:
        Document(text, file="bench.yaml").read("training", Training)
    assert [str(problem) for problem in caught.value.problems] == [
        "bench.yaml:3: training.epoch: the key is not known; did you mean 'epochs'?",
        "bench.yaml:4: training.warm_up: the number 2 has no unit; write it in s, as '16.7 ms'",
        "bench.yaml:8: training.layers[1].width: 0 is too small; allowed is at least 1",
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("12", 12),
        ("-12", -12),
        ("0o17", 15),
        ("0x1F", 31),
        ("007", 7),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("2024-05-01", "2024-05-01"),
        ("1e-3", 1e-3),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e", "1e"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("±5 V", "±5 V"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_the_core_schema_of_yaml_1_2(written: str, meant: object) -> None:
    data = Document(f"key: {written}\n", file="bench.yaml").data
    assert data == {"key": meant}
    assert isinstance(data, dict)
    assert type(data["key"]) is type(meant)


def test_aliases_and_merge_keys() -> None:
    document = Document(
        "base: &base {a: 1, b: 2}\n"
        "other: &other {b: 3, c: 4}\n"
        "alias: *base\n"
        "merged:\n"
        "  <<: [*base, *other]\n"
        "  a: 9\n"
        "chain:\n"
        "  <<: &chain {<<: *other, d: 5}\n",
        file="bench.yaml",
    )
    assert document.at(("alias",)) == {"a": 1, "b": 2}
    assert document.at(("merged",)) == {"a": 9, "b": 2, "c": 4}, "own keys win, then the first of the list"
    assert document.at(("chain",)) == {"d": 5, "b": 3, "c": 4}
    assert document.line_of(("merged", "a")) == 6
    assert document.line_of(("merged", "c")) == 2, "a merged key stands where it was written"
    assert document.line_of(("alias", "b")) == 1


def test_a_quoted_merge_sign_is_a_key() -> None:
    assert Document("'<<': {a: 1}\n", file="bench.yaml").data == {"<<": {"a": 1}}


def test_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_bytes(b"\xef\xbb\xbfbench:\r\n  name: a\r\n")
    document = Document.load(path)
    assert document.data == {"bench": {"name": "a"}}
    assert document.line_of(("bench", "name")) == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    loop, large = tmp_path / "loop.yaml", tmp_path / "large.yaml"
    loop.symlink_to(loop)
    large.write_text("# " + "x" * (1 << 20))
    cases = {
        tmp_path / "missing.yaml": "there is no such file",
        tmp_path: "this is a directory",
        loop: "the file cannot be read",
        large: "the file is larger than 1 MiB",
        tmp_path / "a\0b": "the file cannot be read",
        tmp_path / ("x" * 5000): "the file cannot be read",
        Path("/dev/zero"): "this is no regular file",
    }
    for path, message in cases.items():
        with pytest.raises(BenchFileError, match=message) as caught:
            Document.load(path)
        assert caught.value.problems[0].file == str(path)


def test_merged_mappings_cannot_explode() -> None:
    # every link merges all keys of the one before and adds its own: quadratic, 4 million entries from 100 kB
    lines = ["k0: &m0 {a0: 1}"] + [f"k{i}: &m{i} {{<<: *m{i - 1}, a{i}: 1}}" for i in range(1, 2800)]
    with pytest.raises(BenchFileError, match="more than 100000 values"):
        Document("\n".join(lines), file="bench.yaml")


def test_aliases_cannot_nest_without_end() -> None:
    lines = ["k0: &m0 {a: 1}"] + [f"k{i}: &m{i} {{a: *m{i - 1}}}" for i in range(1, 100)]
    with pytest.raises(BenchFileError, match="more than 50 levels"):
        Document("\n".join(lines), file="bench.yaml")
