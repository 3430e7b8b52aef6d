"""A board whose real firmware is executed: what goes out, what comes in, and what it survives."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from pnnlab.devices import RealClock, State, Trigger
from pnnlab.errors import AbilityError, AcquisitionError, DeviceError, SetpointError
from pnnlab.systems import DacAdc, Facilities
from pnnlab_drivers.firmata.board import FirmataBoard
from scripts.plants.avr_board import AvrBoard
from tests.drivers.firmata.boards import LSB_V, circuit, device, started


@pytest.fixture(scope="module")
def board() -> Iterator[AvrBoard]:
    with started(resets=False) as running:
        yield running


@contextmanager
def opened(board: AvrBoard, **changes: Any) -> Iterator[FirmataBoard]:
    with device(board, reset_on_open=False, **changes) as found:
        yield found


def record(board: FirmataBoard, n_samples: int = 1) -> np.ndarray:
    board.arm_records(1, n_samples=n_samples, rate_hz=100.0, trigger=Trigger.SOFTWARE)
    board.start()
    board.trigger()
    volts: np.ndarray = board.read(1, timeout_s=20.0).volts[0].copy()
    board.disarm()
    return volts


def settled_v(volts: np.ndarray) -> np.ndarray:
    """Return what the circuit settles to, by the model that the twin has, shape `(n, 6)`."""
    network = circuit().network
    with torch.no_grad():
        drive = torch.from_numpy(np.asarray(volts, np.float64))[:, None].expand(-1, 60, -1)
        return np.asarray(2.5 + network(drive)[0][:, -1].numpy())


def test_what_is_written_is_at_the_pins_and_what_is_read_is_what_the_circuit_makes_of_it(board: AvrBoard) -> None:
    """20 random vectors; readings are the chip's codes, which are half a step off at most."""
    rng = np.random.default_rng(0)
    with opened(board) as dac:
        for volts in rng.uniform(0, 5, (20, 6)):
            realised = dac.write(volts).realised
            np.testing.assert_allclose(board.pins_v(), realised, atol=1e-7, err_msg="write returns once it is done")
            read = record(dac)[0]
            # triggered at once: what is thrown away after the trigger is enough for this circuit
            np.testing.assert_allclose(read, settled_v(realised[None])[0], atol=0.5 * LSB_V + 2e-3)
    np.testing.assert_allclose(board.pins_v(), 0.0)


def test_pins_of_timer_0_are_high_for_one_tick_more(board: AvrBoard) -> None:
    with opened(board) as dac:
        for code in (0, 1, 127, 254, 255):
            volts = np.full(6, 5 * code / 255)
            volts[[1, 2]] = 5 * (code + 1) / 256 if code else 0.0  # pins 5 and 6
            np.testing.assert_allclose(dac.write(volts).realised, volts)
            np.testing.assert_allclose(board.pins_v(), volts, atol=1e-7)


def test_a_record_is_as_long_as_its_samples(board: AvrBoard) -> None:
    with opened(board) as adc:
        adc.arm_records(1, n_samples=30, rate_hz=50.0, trigger=Trigger.INTERNAL)
        begin_s = board.time_s()
        adc.start()
        adc.read(1, timeout_s=60.0)
        took_s = board.time_s() - begin_s
    # from one to two sweeps are thrown away
    assert 30 / 50 <= took_s <= 33 / 50


def test_no_reading_is_older_than_its_trigger(board: AvrBoard) -> None:
    """Between extremes: a sweep that straddles a change, or is of before, would lie elsewhere."""
    ends = settled_v(np.array([[0.0] * 6, [5.0] * 6]))
    with opened(board) as both:
        both.arm_records(30, n_samples=1, rate_hz=100.0, trigger=Trigger.SOFTWARE)
        both.start()
        for k in range(30):
            both.write(np.full(6, 5.0 * (k % 2)))
            both.trigger()
            read = both.read(1, timeout_s=20.0).volts[0, 0]
            np.testing.assert_allclose(read, ends[k % 2], atol=0.5 * LSB_V + 2e-3)


def test_a_trigger_during_a_record_is_refused(board: AvrBoard) -> None:
    with opened(board) as adc:
        adc.arm_records(2, n_samples=100, rate_hz=100.0, trigger=Trigger.SOFTWARE)
        adc.start()
        adc.trigger()
        with pytest.raises(AcquisitionError, match=r"a record is being taken, it lasts for 1 s"):
            adc.trigger()


def test_garbage_on_the_line_changes_no_number(board: AvrBoard) -> None:
    rng = np.random.default_rng(0)
    with opened(board) as both:
        volts = both.write(rng.uniform(0, 5, 6)).realised
        for _ in range(5):
            # not the system reset, nor what begins an order
            both._session.send(bytes(rng.integers(0, 128, 40).tolist()) + b"\xf0\x7d\x01\x02\xf7")
            np.testing.assert_allclose(record(both)[0], settled_v(volts[None])[0], atol=0.5 * LSB_V + 2e-3)
        np.testing.assert_allclose(board.pins_v(), volts, atol=1e-7)


@pytest.mark.parametrize("how", ["system reset", "power"])
def test_a_board_that_starts_anew_is_noticed_and_opens_again(board: AvrBoard, how: str) -> None:
    both = device(board, reset_on_open=False).open()
    both.write(np.full(6, 3.0))
    if how == "power":
        board.reset()
    else:
        both._session.send(b"\xff")
    deadline_s = time.monotonic() + 30.0
    with pytest.raises(DeviceError, match="started anew"):
        while time.monotonic() < deadline_s:
            both.write(np.full(6, 2.0))
            both.write(np.full(6, 3.0))
    assert both.state is State.FAULT
    both.close()
    np.testing.assert_allclose(board.pins_v(), 0.0)
    with both:
        np.testing.assert_allclose(both.present_v, 0.0)
        realised = both.write(np.full(6, 3.0)).realised
        np.testing.assert_allclose(board.pins_v(), realised, atol=1e-7)


def test_opening_the_port_starts_the_board_and_waits_for_it() -> None:
    with started() as board:
        both = device(board, boot="60 s")
        for _ in range(2):
            with both:
                assert (both.identity.model, both.identity.firmware) == ("StandardFirmata.ino", "2.4")
                np.testing.assert_allclose(both.present_v, 0.0)
                realised = both.write(np.full(6, 1.0)).realised
                np.testing.assert_allclose(board.pins_v(), realised, atol=1e-7)


def test_a_board_that_goes_on_running_tells_its_outputs(board: AvrBoard) -> None:
    import serial

    with serial.Serial(str(board.port), 57600) as port:
        # pin 3 makes pulses of code 200, 5 is low, and an answer is still to come
        port.write(b"\xf4\x03\x03\xe3\x48\x01\xf4\x05\x01\xf0\x79\xf7\xf0\x6d\x03\xf7")
    with opened(board) as both:
        assert both.present_v[0] == pytest.approx(5 * 200 / 255) and both.present_v[1] == 0.0


def test_pins_that_cannot_are_told_with_those_that_can(board: AvrBoard) -> None:
    with pytest.raises(
        AbilityError, match=r"pin 4 of the board is no pulse-width output; pins that are: 3, 5, 6, 9, 10"
    ):
        device(board, reset_on_open=False, outputs=(3, 4)).open()
    with pytest.raises(AbilityError, match=r"analog channel 9 .* is no analog input; pins that are: 14, 15.*`inputs`"):
        device(board, reset_on_open=False, inputs=(0, 9)).open()
    with pytest.raises(ValueError, match="are not different pins"):
        device(board, outputs=(3, 3))


def test_channels_keep_the_order_of_the_file(board: AvrBoard) -> None:
    with opened(board, outputs=(11, 3), inputs=(5, 0, 2)) as both:
        both.write(np.array([4.0, 1.0]))
        assert board.pins_v()[[5, 0]] == pytest.approx([4.0, 1.0], abs=0.01)
        read, seen = record(both)[0], board.analog_v()
        np.testing.assert_allclose(read, seen[[5, 0, 2]], atol=LSB_V)


@pytest.mark.parametrize(("rate_hz", "near"), [(70.0, "71.4286 Hz"), (0.03, "0.03")])
def test_rates_between_whole_milliseconds_are_refused(board: AvrBoard, rate_hz: float, near: str) -> None:
    with opened(board) as adc, pytest.raises(SetpointError, match=f"whole number of milliseconds.*choose {near}"):
        adc.arm_records(1, n_samples=1, rate_hz=rate_hz, trigger=Trigger.SOFTWARE)


def test_lost_bytes_cost_records_and_no_number(board: AvrBoard) -> None:
    with opened(board) as both:
        truth = settled_v(both.write(np.linspace(1, 4, 6)).realised[None])[0]
        both.arm_records(12, n_samples=2, rate_hz=100.0, trigger=Trigger.INTERNAL)
        both.start()
        board.lose(41)
        records = both.collect(12, timeout_s=60.0)
        board.lose(0)
        intact = records.stamps.intact
        assert intact is not None and 0 < intact.sum() < 12
        np.testing.assert_allclose(
            records.volts[intact], np.broadcast_to(truth, (int(intact.sum()), 2, 6)), atol=0.5 * LSB_V + 2e-3
        )


def test_a_pulled_cable_is_told_within_a_run() -> None:
    with started(resets=False) as board:
        both = device(board, reset_on_open=False).open()
        both.arm_records(1, n_samples=1000, rate_hz=100.0, trigger=Trigger.INTERNAL)
        both.start()
        threading.Timer(0.3, board.unplug).start()
        begin_s = time.monotonic()
        with pytest.raises(DeviceError, match="the connection is gone"):
            both.read(1, timeout_s=60.0)
        assert time.monotonic() - begin_s < 10.0 and both.state is State.FAULT
        with pytest.raises(DeviceError):
            both.close()
        assert both.state is State.CLOSED


def test_a_system_of_static_voltages_measures_through_one_board(board: AvrBoard) -> None:
    with opened(board) as both:
        config = DacAdc.Config.model_validate({
            "dac": "board", "adc": "board", "mode": "steps", "rate_hz": 100.0, "precision": "float64",
            "encoder": {
                "input_channels": (0, 1, 2, 3), "control_channels": (4, 5), "steps": 1, "amplitude_v": 2.5,
                "offset_v": 2.5, "control_amplitude_v": 2.5, "control_offset_v": 2.5,
            },
            "decoder": {"windows": 1, "full_scale_v": 2.5, "zero_v": 2.5},
        })  # fmt: skip
        system = DacAdc("loop", config, {"dac": both, "adc": both}, Facilities(both.clock))
        x = np.random.default_rng(1).uniform(-1, 1, (6, 4))
        shots = system.measure(x, np.array([0.25, 0.75]))
        volts = shots.drive[0][:, 0] * 2.5 + 2.5
        np.testing.assert_allclose(shots.y * 2.5 + 2.5, settled_v(volts), atol=0.5 * LSB_V + 2e-3)
        assert system.n_retaken == 0


def test_a_board_behind_a_socket(board: AvrBoard) -> None:
    import serial

    with serial.Serial(str(board.port), 57600, timeout=0.01) as port, socket.create_server(("127.0.0.1", 0)) as server:

        def bridge() -> None:
            client, _ = server.accept()
            client.settimeout(0.01)
            with client, suppress(OSError):
                while True:
                    client.sendall(port.read(port.in_waiting))
                    with suppress(TimeoutError):
                        data = client.recv(256)
                        if not data:
                            return
                        port.write(data)

        thread = threading.Thread(target=bridge, daemon=True)
        thread.start()
        options = {"resource": f"socket://127.0.0.1:{server.getsockname()[1]}", "reset_on_open": False}
        with FirmataBoard("board", FirmataBoard.Options.model_validate(options), clock=RealClock()) as both:
            realised = both.write(np.linspace(0, 5, 6)).realised
            np.testing.assert_allclose(board.pins_v(), realised, atol=1e-7)
            np.testing.assert_allclose(record(both)[0], settled_v(realised[None])[0], atol=0.5 * LSB_V + 2e-3)
        thread.join(10.0)
        assert not thread.is_alive()


@dataclass(frozen=True, order=True)
class Port:
    """What pyserial says of a port."""

    device: str
    vid: int | None
    manufacturer: str | None = None
    product: str | None = None
    serial_number: str | None = None


def test_ports_of_boards_are_found_without_opening_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [
        Port("COM8", 0x046D, "Logitech", "Mouse"), Port("COM7", 0x1A86), Port("COM1", None),
        Port("/dev/ttyACM0", 0x2341, "Arduino", "Uno", "75"),
    ]  # fmt: skip
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)
    found = FirmataBoard.discover()
    assert [dict(candidate.options) for candidate in found] == [{"resource": "/dev/ttyACM0"}, {"resource": "COM7"}]
    assert (found[0].identity.vendor, found[0].identity.model, found[0].identity.serial) == ("Arduino", "Uno", "75")
    assert found[1].identity.vendor == "a board with a CH340" and "starts it anew" in found[1].note
