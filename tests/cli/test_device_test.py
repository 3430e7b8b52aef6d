"""`pnnlab devices test` and `pnnlab devices matrix`."""

from pathlib import Path

import pytest

from pnnlab.testing.evidence import Evidence
from pnnlab.testing.matrix import Matrix, markdown

BENCH = """
bench: {name: memory, clock: real}
devices:
  bad: {driver: "tests.testing.broken_facts:NumberedDac"}
"""


@pytest.fixture
def memory(folder: Path) -> None:
    (folder / "instruments.yaml").write_text(BENCH, encoding="utf-8")


def test_a_device_is_held_against_the_rules(pnnlab, memory) -> None:
    answer = pnnlab("devices", "test", "bad")
    assert answer.code == 3, answer.out + answer.err
    rows = {line[:20].strip(): line for line in answer.out.splitlines()}
    assert " FAILED " in rows["identity"]
    assert " ok " in rows["second client"] and "1 of 1" in rows["second client"]
    assert "not asked for" in rows["sequence"]
    assert "test_the_identity_is_told\n  AssertionError" in answer.out and "is not made of texts" in answer.out
    assert "not asked for: moves live outputs; say where it may: --outputs 'voltage=LOW to HIGH'" in answer.out


def test_a_wrong_range_is_told_before_anything_is_opened(pnnlab, memory) -> None:
    answer = pnnlab("devices", "test", "bad", "--outputs", "voltage=1 V to 0 V")
    assert answer.code == 2 and "runs downwards" in answer.err


FOUND = [
    Evidence("camera", "emulation", ("unplugged", "timeout"), "gone", "shown"),
    Evidence("camera", "emulation", ("trigger",), "edge", "needs the device", "an edge"),
    Evidence("camera", "emulation", ("trigger",), "software", "shown"),
    Evidence("camera", "fake", ("lost packets",), "lost", "needs the device", "a network"),
    Evidence("camera", "emulation", ("lost packets",), "lost", "shown"),
    Evidence("camera", "fake", ("timeout",), "late", "shown"),
    Evidence("camera", "fake", ("sequence",), "sequence", "needs the device", "a timer"),
    Evidence("camera", "fake", ("second client",), "second", "does not apply", "alone"),
    Evidence("camera", "fake", ("limits",), "limits", "failed", "too far"),
    Evidence("camera", "fake", ("reopen after fault",), "open", "not shown", "peer is missing"),
]


def test_the_matrix_says_what_was_shown_against_what(pnnlab, folder: Path) -> None:
    text = markdown(Matrix.of(FOUND, ["camera", "slm"]))
    cells = [cell.strip() for cell in text.splitlines()[2].strip("|").split("|")]
    shown = ["-", "FAILED", "-", "device", "a*", "ab", "a", "-", "-", "a", "-", "no test", "-"]
    assert cells == ["`camera`", *shown], "what no rule of a role asks for does not apply"
    assert text.splitlines()[3].startswith("| `slm` | no test |")
    assert "- **a** emulation" in text and "- **b** fake" in text
    assert "- `camera`: sequence: a timer. trigger: an edge." in text
    assert "a network" not in text, "another peer has shown it"
    assert pnnlab("devices", "matrix", "none.jsonl").code == 2
