"""The transport at instruments and servers that nobody here wrote; each is skipped where it is not installed."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pnnlab.errors import GarbledError, InstrumentError, NotANumberError, ReplyTimeoutError
from pnnlab.transports import LinkOptions, Scpi, SerialLine, Transport, Tsp, open_link, open_transport
from tests.transports.servers import plain_visa


def needs(module: str, package: str) -> pytest.MarkDecorator:
    """Skip where a module cannot be imported."""
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed (pnnlab[peers])")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """Run a server until it listens, and end it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 20
        while time.monotonic() < deadline_s:
            try:
                socket.create_connection(("127.0.0.1", port), 0.3).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            pytest.fail(f"{command} does not listen")
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def scpipy() -> Iterator[str]:
    port = free_port()
    with running([sys.executable, str(Path(__file__).with_name("scpipy_server.py")), str(port)], port):
        yield f"TCPIP::127.0.0.1::{port}::SOCKET"


@needs("scpipy", "scpipy")
class TestScpipy:
    """IEEE 488.2 by another implementation: chains, error queue, `*OPC?`, timeouts."""

    @pytest.fixture
    def talk(self, scpipy: str) -> Iterator[Scpi]:
        transport = open_transport(LinkOptions(resource=scpipy, quick_s=0.25), who="dac")
        yield Scpi(transport)
        transport.close()

    def test_commands_and_queries(self, talk: Scpi) -> None:
        assert talk.identity().model == "DAC8"
        talk.command("SOUR:VOLT 1.25")
        assert talk.number("sour:volt?") == 1.25
        assert [float(answer) for answer in talk.run(["SOUR:VOLT 2"], "SOUR:VOLT?", "*OPC?")] == [2.0, 1.0]
        talk.complete("SOUR:VOLT 3")
        assert 0 <= talk.status_byte() <= 255

    def test_its_errors_are_told(self, talk: Scpi) -> None:
        talk.identity()
        for command, code in [("SOUR:VOLT abc", "-104"), ("SOUR:VOLT 99", "-222"), ("BAD:CMD 1", "-113|-110")]:
            with pytest.raises(InstrumentError, match=code):
                talk.command(command)
        # this server drops what stands behind an error in a message, the query of its error queue included
        with pytest.raises(InstrumentError, match="-222"):
            talk.command("SOUR:VOLT 99", "SOUR:VOLT 1")
        talk.command("SOUR:VOLT 0")
        assert talk.number("SOUR:VOLT?") == 0.0

    def test_a_late_answer_is_thrown_away(self, talk: Scpi) -> None:
        talk.identity()
        with pytest.raises(ReplyTimeoutError):
            talk.number("SLOW?")
        talk.command("SOUR:VOLT 4")
        assert talk.number("SOUR:VOLT?") == 4.0
        assert talk.number("SLOW?", wait=2.0) == 7.0


@pytest.fixture(scope="module")
def pace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    folder, port = tmp_path_factory.mktemp("pace"), free_port()
    link, file = folder / "tty", folder / "pace.yml"
    transports = [f'{{type: tcp, url: "127.0.0.1:{port}"}}']
    if sys.platform != "win32":
        transports.append(f'{{type: serial, url: "{link}", baudrate: 9600}}')
    lines = "".join(f"  - {transport}\n" for transport in transports)
    file.write_text(f"devices:\n- class: Pace\n  name: pace\n  transports:\n{lines}")
    with running([sys.executable, "-m", "sinstruments", "-c", str(file)], port):
        yield f"TCPIP::127.0.0.1::{port}::SOCKET", str(link)


@needs("gepace", "gepace[simulator]")
class TestPace:
    """A pressure controller and its server, both by others: over the network, and over a line of 9600 baud."""

    @pytest.fixture(params=["network", "serial", "serial by VISA"])
    def transport(self, request: pytest.FixtureRequest, pace: tuple[str, str]) -> Iterator[Transport]:
        if request.param == "network":
            transport = open_transport(LinkOptions(resource=pace[0]), who="pace")
        elif not os.path.exists(pace[1]):
            pytest.skip("Windows has no pseudo-terminals")
        elif request.param == "serial":
            transport = open_transport(LinkOptions(resource=pace[1], baud_rate=9600), who="pace")
        else:
            transport = Transport(plain_visa(f"ASRL{pace[1]}::INSTR"), who="pace")
        yield transport
        transport.close()

    def test_it_answers_with_its_header(self, transport: Transport) -> None:
        talk = Scpi(transport, joins=False, errors="")
        assert talk.query("*IDN?").startswith("*IDN GE Druck,PACE5000")
        talk.command(":SOUR1:PRES:SLEW 3.5")
        assert talk.query(":SOUR1:PRES:SLEW?") == ":SOUR1:PRES:SLEW 3.5"
        # a header is no part of a number, and is not cut off by guesswork
        with pytest.raises(GarbledError, match="no number"):
            talk.number(":SOUR1:PRES:SLEW?")

    def test_identity_is_taken_as_marker_as_it_comes(self, transport: Transport) -> None:
        talk = Scpi(transport, joins=False, errors="")
        assert talk.identity().vendor == "*IDN GE Druck"
        with pytest.raises(KeyboardInterrupt):
            transport.exchange(":SOUR1:PRES:SLEW?", _interrupt)
        assert talk.query(":SOUR1:PRES:SLEW?").startswith(":SOUR1:PRES:SLEW")


def _interrupt(_: object) -> None:
    raise KeyboardInterrupt


@needs("pyvisa_sim", "pyvisa-sim")
class TestSimulatedInterfaces:
    """pyvisa-sim as the back end: GPIB, USB and VXI-11 resources, whose messages have an end of their own."""

    @pytest.mark.parametrize(
        "resource",
        ["GPIB0::8::INSTR", "USB::0x1111::0x2222::0x1234::INSTR", "TCPIP::localhost::inst0::INSTR", "ASRL1::INSTR"],
    )
    def test_its_own_instruments(self, resource: str) -> None:
        link = open_link(resource, backend="@sim")
        end = "\r\n" if resource.startswith("ASRL") else "\n"
        transport = Transport(link, who="lantz", terminator=end, reply_terminator="\n")
        try:
            assert transport.query("?IDN").startswith("LSG Serial #1234")
            assert transport.query("!FREQ 10.3") == "OK"
            assert transport.query("?FREQ") == "10.30"
            assert transport.query("!FREQ 999999") == "FREQ_ERROR"
            assert not link.waiting()
        finally:
            transport.close()


@needs("qcodes", "qcodes")
class TestQcodesSimulations:
    """Dialogues that QCoDeS tests its own drivers with."""

    @contextmanager
    def talking(self, file: str, resource: str = "GPIB::1::INSTR") -> Iterator[Transport]:
        folder = Path(next(iter(importlib.util.find_spec("qcodes").submodule_search_locations)))
        backend = f"{folder / 'instrument' / 'sims' / file}@sim"
        transport = open_transport(LinkOptions(resource=resource, backend=backend), who="sim")
        try:
            yield transport
        finally:
            transport.close()

    def test_multimeter(self) -> None:
        with self.talking("Keysight_34465A.yaml") as transport:
            talk = Scpi(transport, joins=False, errors="")
            assert (talk.identity().vendor, talk.identity().model) == ("Keysight", "34465A")
            assert talk.number("READ?") == 10.0
            assert talk.number("SAMPle:TIMer? MIN") == 0.1

    def test_switch_matrix(self) -> None:
        with self.talking("keysight_b220x.yaml") as transport:
            talk = Scpi(transport, joins=False, errors=":SYST:ERR?")
            talk.command(":CONN:RULE 1,SROU")
            assert talk.query(":CONN:RULE? 1") == "SROU"
            with pytest.raises(InstrumentError, match="Command error"):
                talk.command(":NO:SUCH 1")

    def test_source_measure_unit_with_a_script_processor(self) -> None:
        with self.talking("Keithley_2600.yaml") as transport:
            talk = Tsp(transport)
            assert "2601B" in talk.identity().model or "26" in talk.identity().model
            transport.send("smua.source.levelv=0.25")
            volts, _ = talk.numbers("smua.measure.v()", "status.measurement.instrument.smua.condition")
            assert volts == 0.25


def test_a_serial_line_is_described() -> None:
    options = LinkOptions(resource="COM3", baud_rate=115200, parity="even", stop_bits=2, flow_control="rts-cts")
    assert options.line == SerialLine(115200, parity="even", stop_bits=2, flow_control="rts-cts")
    assert NotANumberError is not GarbledError
