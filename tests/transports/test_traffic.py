"""Traffic: recorded, replayed as an instrument, and written as a test."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pnnlab.devices import Trigger
from pnnlab.errors import RecordError, ReplyTimeoutError, SetpointError
from pnnlab.testing import TcpInstrument
from pnnlab.transports import (
    LinkOptions,
    Scpi,
    block,
    exchanges,
    open_transport,
    read_traffic,
    recorded_session,
    replayed,
    write_test,
)
from pnnlab.transports.__main__ import main
from pnnlab_drivers.keysight.waveform_generator import WaveformGenerator, WaveformGeneratorOptions
from tests.drivers.keysight.generator_model import GeneratorModel
from tests.drivers.scpi.model import ScpiFraming
from tests.transports.servers import Instrument, on_socket, on_terminal, scpi

SAMPLES = np.arange(300, dtype=">f4")


def curve(message: bytes) -> bytes:
    return block(SAMPLES.tobytes()) + b"\n" if message == b"CURV?" else scpi(message)


def talk(resource: str, traffic: str = "") -> list[object]:
    """Have a conversation in text and binary; return what came of it."""
    transport = open_transport(LinkOptions(resource=resource, traffic=traffic, quick_s=1.0), who="adc")
    try:
        instrument = Scpi(transport)
        found: list[object] = [instrument.identity()]
        instrument.command_block("DATA wave,", b"\x00\n\xff#")
        found.append(instrument.samples("CURV?", 300, ">f4").tolist())
        return found
    finally:
        transport.close()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    file = tmp_path / "curve.jsonl"
    with on_socket(Instrument(curve)) as port:
        talk(f"TCPIP::127.0.0.1::{port}::SOCKET", str(file))
    return file


def test_traffic_can_be_read_by_a_person(recording: Path) -> None:
    lines = [json.loads(line) for line in recording.read_text().splitlines()]
    assert lines[0]["resource"].startswith("TCPIP::127.0.0.1")
    assert {"sent": "*IDN?\n"}.items() <= lines[2].items()
    assert {"got": "ACME,DAC8,17,1.0\n"}.items() <= lines[3].items()
    block_line = next(line for line in lines if "sent_base64" in line)
    assert block_line["begins"] == "DATA wave,#14" and block_line["bytes"] == 18
    assert [line["at_s"] for line in lines] == sorted(line["at_s"] for line in lines)


def test_traffic_holds_every_byte(recording: Path) -> None:
    found = exchanges(read_traffic(recording))
    assert [exchange.sent for exchange in found] == [
        b"*IDN?\n",
        b"DATA wave,#14\x00\n\xff#\n",
        b"SYST:ERR?\n",
        b"CURV?\n",
    ]
    assert found[3].got == block(SAMPLES.tobytes()) + b"\n"


def test_a_recorded_instrument_answers_as_it_did(recording: Path) -> None:
    with replayed(recording) as instrument:
        first = talk(instrument.visa)
    with replayed(recording) as instrument:
        over_pyserial = talk(instrument.serial)
    assert first == over_pyserial
    assert first[1] == SAMPLES.tolist()


def test_traffic_of_a_serial_line_is_replayed_over_a_socket(tmp_path: Path) -> None:
    file = tmp_path / "serial.jsonl"
    with on_terminal(Instrument(curve)) as port:
        first = talk(port, str(file))
    with replayed(file) as instrument:
        assert talk(instrument.serial) == first


def test_what_was_not_recorded_is_told(recording: Path) -> None:
    wrong = r"'VOLT\?.*' came as message 2, recorded is b'DATA wave"
    with pytest.raises(RecordError, match=wrong), replayed(recording) as instrument:
        transport = open_transport(LinkOptions(resource=instrument.visa), who="adc")
        try:
            Scpi(transport).identity()
            transport.query("VOLT?")
        finally:
            transport.close()


def test_what_did_not_come_is_told(recording: Path) -> None:
    with pytest.raises(RecordError, match="3 recorded messages did not come"), replayed(recording) as instrument:
        transport = open_transport(LinkOptions(resource=instrument.visa), who="adc")
        Scpi(transport).identity()
        transport.close()


def test_silence_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "silence.jsonl"
    with on_socket(Instrument(lambda message: b"")) as port:
        resource = f"TCPIP::127.0.0.1::{port}::SOCKET"
        transport = open_transport(LinkOptions(resource=resource, traffic=str(file), quick_s=0.05), who="adc")
        with pytest.raises(ReplyTimeoutError):
            transport.query("*IDN?")
        transport.close()
    assert "silence" in read_traffic(file)[-1]


def test_files_that_are_none(tmp_path: Path) -> None:
    for text in ("", "no JSON", "[]", '{"sent": "x"}'):
        file = tmp_path / "wrong.jsonl"
        file.write_text(text)
        with pytest.raises(RecordError, match="no file of recorded traffic"):
            read_traffic(file)
    with on_socket(Instrument()) as port:
        options = LinkOptions(resource=f"TCPIP::127.0.0.1::{port}::SOCKET", traffic=str(tmp_path / "no" / "file"))
        with pytest.raises(RecordError, match="cannot be written"):
            open_transport(options, who="adc")


@pytest.mark.skipif(shutil.which("lxi") is None, reason="lxi-tools are not installed (Debian package lxi-tools)")
def test_an_independent_client_gets_the_recorded_answers(recording: Path) -> None:
    with replayed(recording, in_order=False) as instrument:
        command = ["lxi", "scpi", "--address", "127.0.0.1", "--port", str(instrument.port), "--raw"]
        for _ in range(2):
            done = subprocess.run([*command, "*IDN?"], capture_output=True, timeout=20, check=True)
            assert done.stdout.strip() == b"ACME,DAC8,17,1.0"
        done = subprocess.run([*command, "CURV?"], capture_output=True, timeout=20, check=True)
        assert block(SAMPLES.tobytes()) in done.stdout


@pytest.fixture
def session(tmp_path: Path) -> Path:
    file = tmp_path / "session.jsonl"
    with TcpInstrument(GeneratorModel(), framing=ScpiFraming()) as server:
        options = WaveformGeneratorOptions(resource=server.address, memory_samples=5000)
        with recorded_session(WaveformGenerator, "dac", options, file) as device:
            device.open()
            device.write(np.array([0.5, -1.25]))
            with pytest.raises(SetpointError):
                device.write(np.array([99.0, 0.0]))
            device.arm_waveform(np.sin(np.arange(200.0)).reshape(100, 2), rate_hz=1e5, trigger=Trigger.SOFTWARE)
            device.start()
            device.trigger()
            device.wait(1.0)
            device.disarm()
            assert device.n_outputs == 2
            device.close()
    return file


def _pytest(*files: Path) -> str:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(root / "pyproject.toml")]
    done = subprocess.run([*command, *files], capture_output=True, text=True, timeout=120, cwd=root, check=False)
    return done.stdout


def test_a_session_becomes_a_test_that_passes_and_that_can_fail(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["test", str(session)]) == 0
    written = session.with_name("test_session.py")
    assert str(written) in capsys.readouterr().out
    text = written.read_text()
    assert "device.arm_waveform(unpacked(" in text and "pytest.raises(SetpointError)" in text
    wrong = session.with_name("test_wrong.py")
    wrong.write_text(text.replace("-1.25", "-1.24"))
    told = _pytest(written, wrong)
    assert "1 failed, 1 passed" in told, told
    assert "-1.24" in told and "test_session.py::" not in told


def test_a_test_is_not_written_over(session: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_test(session)
    assert main(["test", str(session)]) == 1
    assert "is there already" in capsys.readouterr().err


def test_traffic_without_calls_is_no_session(recording: Path) -> None:
    with pytest.raises(RecordError, match="no calls are recorded"):
        write_test(recording)


def test_the_command_serves_a_recording(recording: Path) -> None:
    command = [sys.executable, "-m", "pnnlab.transports", "replay", str(recording), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        resource = line.split(" answers at ")[1].split(";")[0]
        assert talk(resource)[1] == SAMPLES.tolist()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
