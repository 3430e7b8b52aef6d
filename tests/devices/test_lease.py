"""Two processes cannot open one device."""

import os
import re
from pathlib import Path

import pytest

from pnnlab.devices import State
from pnnlab.devices._lease import Lease, canonical_claim
from pnnlab.errors import LeaseError
from tests.devices.leased import holder, leased


def test_a_second_process_is_refused_before_a_byte_is_sent_and_told_who_holds_it() -> None:
    second = leased("TCPIP::10.0.0.4::5025::SOCKET")
    with holder("socket://10.0.0.4:5025") as first:
        with pytest.raises(LeaseError) as refused:
            second.open()
        for word in (f"process {first.pid}", "'other'", "since 20", "10.0.0.4", "close it there", "nothing was sent"):
            assert word in str(refused.value)
        assert re.search(r"\(\S+: -c ", str(refused.value)), "the command is told"
    assert not hasattr(second, "heard")
    assert second.state is State.CLOSED


def test_a_killed_holder_holds_nothing() -> None:
    with holder("port A") as first:
        first.kill()
        first.wait()
        with leased("port A") as second:
            assert second.state is State.OPEN


def test_a_holder_that_closes_gives_back() -> None:
    with holder("port B") as first:
        first.communicate("\n", timeout=10)
        assert first.returncode == 0
        with leased("port B"):
            pass


def test_one_process_opens_a_device_once_whatever_it_calls_it() -> None:
    with leased("port C"), pytest.raises(LeaseError, match=f"process {os.getpid()} .*'stage'"):
        leased("PORT C", "again").open()
    with leased("port C", "again"):
        pass


def test_one_instrument_at_two_addresses_is_one() -> None:
    with leased("usb", serial="MY5001"):
        second = leased("lan", serial="MY5001")
        with pytest.raises(LeaseError, match="Acme One serial MY5001 is in use"):
            second.open()
        assert second.state is State.CLOSED
        with leased("lan", serial="MY5002"), leased("gpib", serial="0000"), leased("rs232", serial="0000"):
            pass  # a serial of zeros is none
    with leased("lan", serial="MY5001"):
        pass


def test_a_failed_opening_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    device = leased("port D")
    monkeypatch.setattr(device, "_open", lambda: 1 / 0)
    with pytest.raises(Exception, match="ZeroDivisionError"):
        device.open()
    with leased("port D"):
        pass


def test_all_or_nothing(tmp_path: Path) -> None:
    held, lease = Lease("a", tmp_path), Lease("b", tmp_path)
    held.claim(["two"])
    with pytest.raises(LeaseError):
        lease.claim(["one", "two", "three"])
    Lease("c", tmp_path).claim(["one", "three"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_neither_ends_nor_keeps_its_parents_lease() -> None:
    with leased("port E") as device:
        child = os.fork()
        if not child:
            try:
                device._lease.release()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(LeaseError):
            leased("port E").open()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LeaseError, match=r"make the folder .* writable"):
        Lease("dac", tmp_path / "file" / "leases").claim(["port"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("TCPIP0::Scope.local::5025::SOCKET", "socket://scope.local:5025"),
        ("TCPIP::10.0.0.4::inst0::INSTR", "tcpip0::10.0.0.4::INST0"),
        ("COM3", "com3"),
        ("USB0::0x0957::0x2B07::MY5001::INSTR", "USB::0x0957::0x2b07::my5001"),
    ],
)
def test_spellings_of_one_address_are_one(one: str, other: str) -> None:
    assert canonical_claim(one) == canonical_claim(other)


@pytest.mark.skipif(os.name == "nt", reason="ports have names there")
def test_a_link_to_a_port_is_the_port(tmp_path: Path) -> None:
    port, link = tmp_path / "ttyACM0", tmp_path / "usb-Arduino-1234"
    port.touch()
    link.symlink_to(port)
    assert canonical_claim(str(port)) == canonical_claim(f"ASRL{link}::INSTR")


@pytest.mark.parametrize(
    ("one", "other"), [("COM3", "COM4"), ("socket://lab:1", "socket://lab:2"), ("GPIB0::3", "GPIB1::3")]
)
def test_other_addresses_are_others(one: str, other: str) -> None:
    assert canonical_claim(one) != canonical_claim(other)
