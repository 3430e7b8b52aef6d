"""`pnnlab devices get` and `pnnlab devices set`."""

import json
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCH = """
bench: {name: memory, clock: real}
devices:
  dac:
    driver: tests.testing.memory_devices:MemoryDac
    limits: {voltage: {range: "-2 V to 2 V", slew: "10 V/s"}}
  adc: {driver: "tests.testing.memory_devices:MemoryAdc"}
  array: {driver: "tests.testing.memory_devices:MemoryCrossbar"}
  broken: {driver: "tests.bench.finders:Hanging", identity: {serial: other}}
"""


@pytest.fixture
def memory(folder: Path) -> None:
    (folder / "instruments.yaml").write_text(BENCH, encoding="utf-8")


def test_an_exposure_is_read_and_set_with_its_unit(pnnlab) -> None:
    assert pnnlab("devices", "get", "camera", "exposure").out == "2 ms\n"
    answer = pnnlab("devices", "set", "camera", "exposure", "3 ms")
    assert (answer.code, answer.out) == (0, "camera: exposure is 3 ms, 3 ms was asked for\n")
    answer = pnnlab("devices", "get", "camera")
    assert answer.code == 0 and "bit_depth" in answer.out and "0, 0, 16, 16" in answer.out


def test_settings_have_their_names(pnnlab) -> None:
    assert json.loads(pnnlab("devices", "get", "camera", "exposure_s", "--json").out) == 2e-3
    assert json.loads(pnnlab("devices", "get", "camera", "--json").out)["exposure"] == 2e-3


def test_limits_hold(pnnlab) -> None:
    answer = pnnlab("devices", "set", "camera", "exposure", "1 s")
    assert answer.code == 2 and "allowed is 0.0001 to 0.1 s; nothing was sent" in answer.err


def test_one_channel_is_set_and_the_others_stay(pnnlab, memory) -> None:
    answer = pnnlab("devices", "set", "dac", "voltage.1", "1.5 V", "--for", "0.1 s")
    assert (answer.code, answer.out) == (0, "dac: voltage.1 is 1.499 V, 1.5 V was asked for\n")
    assert "safe state" in answer.err
    assert pnnlab("devices", "get", "dac", "voltage").out == "0 V everywhere\n"
    assert pnnlab("devices", "get", "dac", "voltage.2").out == "0 V\n"


def test_an_output_is_held_until_interrupted(pnnlab, memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)

    class Interrupted(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            raise KeyboardInterrupt

    monkeypatch.setattr("pnnlab.cli._device_values.threading", SimpleNamespace(Event=Interrupted))
    answer = pnnlab("devices", "set", "dac", "voltage", "1 V")
    assert answer.code == 0 and "held until Ctrl-C" in answer.err and "safe state" in answer.err


def test_an_output_that_nobody_can_hold_is_not_set(pnnlab, memory) -> None:
    answer = pnnlab("devices", "set", "dac", "voltage", "1 V")
    assert answer.code == 2 and "say how long it is held" in answer.err and not answer.out


def test_inputs_are_measured(pnnlab, memory) -> None:
    answer = pnnlab("devices", "get", "adc", "input", "--json")
    first, second = json.loads(answer.out)
    assert first**2 + second**2 == pytest.approx(1, abs=1e-3), "a point of a slow circle"
    assert "is measured and cannot be set" in pnnlab("devices", "set", "adc", "input", "1 V").err


def test_many_values_are_told_by_their_range(pnnlab, memory) -> None:
    assert pnnlab("devices", "set", "array", "conductance", "50 uS").out.startswith(
        "array: conductance is 50.5 uS every"
    )
    assert len(json.loads(pnnlab("devices", "get", "array", "conductance", "--json").out)) == 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("get", "dac", "voltage.3"), "there is voltage.0 to voltage.2"),
        (("get", "camera", "exposure.0"), "there is exposure alone"),
        (("get", "slm", "level"), "the instrument cannot be asked for it"),
        (("set", "slm", "level.0.0", "3", "--for", "1 s"), "is set as a whole: leave out the index"),
        (("get", "dac", "volts"), "no key is named 'volts'"),
        (("get", "dca", "voltage"), "did you mean 'dac'?"),
        (("set", "camera", "exposure", "3"), "write a number and its unit"),
        (("get", "dac", "voltage.x"), "an index is a number"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(pnnlab, folder, arguments, says) -> None:
    if "dac" in arguments[1] or "dca" in arguments[1]:
        (folder / "instruments.yaml").write_text(BENCH, encoding="utf-8")
    answer = pnnlab("devices", *arguments)
    assert answer.code in (2, 3) and says in answer.err and "Traceback" not in answer.err
