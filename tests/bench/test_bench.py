"""All devices of a bench opened and closed together."""

import threading
from pathlib import Path

import numpy as np
import pytest

from pnnlab.bench import Bench, BenchLookupError
from pnnlab.devices import Device, RealClock, SimulatedClock, State
from pnnlab.errors import BenchError, RunError, SetpointError, StateError
from tests.bench.conftest import Write
from tests.bench.stand_ins import Table

GOOD = Path(__file__).parent / "bench.yaml"
OPTICS = """
systems:
  optics:
    kind: slm-camera
    slm: slm
    camera: camera
    exposure: 1 ms
    encoder: {macropixels: [%s]}
    decoder: {bins: [2, 2]}
"""


def journal(bench: Bench) -> list[str]:
    table = bench.plants["table"]
    assert isinstance(table, Table)
    return table.journal


def states(bench: Bench) -> set[State]:
    return {device.state for device in bench.devices.values()}


def test_reading_the_file_touches_no_device(write: Write) -> None:
    bench = Bench.from_file(write())
    assert not bench.is_open
    with pytest.raises(BenchLookupError, match=r"^no device is named 'slm'; open the bench 'three' first$"):
        bench.devices["slm"]


def test_devices_open_in_the_order_of_the_file_and_close_in_reverse(write: Write) -> None:
    with Bench.from_file(write()) as bench:
        assert states(bench) == {State.OPEN}
        assert list(bench.devices) == ["slm", "camera", "card"]
    assert journal(bench) == [
        "open slm", "open camera", "open card",
        "safe card", "safe camera", "safe slm",
        "close card", "close camera", "close slm",
    ]  # fmt: skip
    assert states(bench) == {State.CLOSED}


def test_a_bench_can_be_closed_twice_and_opened_again(write: Write) -> None:
    bench = Bench.from_file(write()).open()
    with pytest.raises(StateError, match="is open already"):
        bench.open()
    bench.close()
    bench.close()
    with bench:
        assert states(bench) == {State.OPEN}
        assert journal(bench) == ["open slm", "open camera", "open card"]


def test_an_opened_bench_can_be_entered(write: Write) -> None:
    with Bench.from_file(write()).open() as bench:
        assert bench.is_open
    assert not bench.is_open


def test_one_of_three_devices_fails_and_the_others_are_closed_again(write: Write) -> None:
    bench = Bench.from_file(write(camera="fails: open"))
    with pytest.raises(BenchError) as caught:
        bench.open()
    assert list(caught.value.failures) == ["camera"]
    assert "camera: DeviceError: camera: open failed with OSError: no answer to open" in str(caught.value)
    assert journal(bench) == [
        "open slm", "open camera", "close camera", "open card", "safe card", "safe slm", "close card", "close slm",
    ]  # fmt: skip
    assert not bench.is_open


def test_every_failure_is_told(write: Write) -> None:
    with pytest.raises(BenchError) as caught:
        Bench.from_file(write(slm="fails: open", card="fails: open")).open()
    assert list(caught.value.failures) == ["slm", "card"]


def test_another_instrument_than_expected_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(GOOD.read_text(encoding="utf-8").replace("serial: SIM-0001", "serial: SIM-9999"), encoding="utf-8")
    with pytest.raises(BenchError, match="slm: IdentityError: slm: another instrument answered"):
        Bench.from_file(path).open()


def test_a_plant_that_fails_is_told_once(write: Write) -> None:
    with pytest.raises(BenchError) as caught:
        Bench.from_file(write(plant="fails: true")).open()
    assert {name: str(error) for name, error in caught.value.failures.items()} == {"table": "the lamp is broken"}


def test_a_system_that_does_not_fit_its_devices_closes_the_bench(write: Write) -> None:
    bench = Bench.from_file(write(systems=OPTICS % "64, 64"))
    with pytest.raises(BenchError) as caught:
        bench.open()
    assert list(caught.value.failures) == ["optics"]
    assert states(bench) == {State.CLOSED}


def test_systems_are_wired_with_the_open_devices(write: Write) -> None:
    with Bench.from_file(write(systems=OPTICS % "2, 2")) as bench:
        optics = bench.systems["optics"]
        assert optics.devices == {"slm": bench.devices["slm"], "camera": bench.devices["camera"]}
        assert optics.clock is bench.clock
        with pytest.raises(BenchLookupError, match="did you mean 'optics'"):
            bench.systems["optic"]


def test_a_device_that_fails_to_close_does_not_keep_the_others_open(write: Write) -> None:
    bench = Bench.from_file(write(slm="fails: safe", camera="fails: close")).open()
    with pytest.raises(BenchError, match="2 parts of the bench could not be closed") as caught:
        bench.close()
    assert list(caught.value.failures) == ["slm", "camera"]
    assert "safe card" in journal(bench)
    assert states(bench) == {State.CLOSED}
    assert not bench.is_open


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_outputs_are_safe_after_an_exception(write: Write, error: type[BaseException]) -> None:
    bench = Bench.from_file(write(camera="fails: close"))
    with pytest.raises(error) as caught, bench:
        raise error("from the script")
    assert journal(bench)[3:6] == ["safe card", "safe camera", "safe slm"]
    assert states(bench) == {State.CLOSED}
    assert "no answer to close" in caught.value.__notes__[0], "what failed on the way out is added, and hides nothing"


def test_ctrl_c_while_closing_is_raised_after_everything_is_closed(write: Write) -> None:
    bench = Bench.from_file(write(camera="fails: interrupted")).open()
    with pytest.raises(KeyboardInterrupt):
        bench.close()
    assert {"safe card", "safe slm", "close card", "close camera", "close slm"} <= set(journal(bench))
    assert states(bench) == {State.CLOSED}


def test_an_armed_device_is_made_safe(write: Write) -> None:
    with Bench.from_file(write()) as bench:
        bench.devices["slm"].make_safe()
        bench.devices["slm"].resume()
    assert journal(bench).count("safe slm") == 2


def test_limits_of_the_file_reach_the_devices() -> None:
    with Bench.from_file(GOOD) as bench:
        slm, card = bench.devices["slm"], bench.devices["card"]
        slm.write(np.full((8, 8), 200, np.uint8))
        with pytest.raises(SetpointError, match=r"slm: level 201 .*allowed is 0 to 200"):
            slm.write(np.full((8, 8), 201, np.uint8))
        with pytest.raises(SetpointError, match=r"card: voltage 5.5 V .*allowed is -5 to 5 V"):
            card.write(np.array([0.0, 5.5]))
        assert card.limits("voltage").slew_per_s == 10
        with pytest.raises(SetpointError, match="exposure 1 s"):
            bench.devices["camera"].configure(exposure_s=1.0)
    assert journal(bench).count("write slm") == 1


def test_limits_that_leave_nothing_are_refused_when_opening(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(GOOD.read_text(encoding="utf-8").replace("0 to 200", "300 to 400"), encoding="utf-8")
    with pytest.raises(BenchError, match="nothing is left; correct `limits`"):
        Bench.from_file(path).open()


def test_settings_tell_identity_and_settings_of_every_device(write: Write) -> None:
    with Bench.from_file(write(slm="shape: [2, 3]")) as bench:
        settings = bench.settings()
    assert list(settings) == ["slm", "camera", "card"]
    assert settings["slm"] == {
        "identity": {"vendor": "pnnlab", "model": "Panel", "serial": "SIM-0001", "firmware": "1"},
        "settings": {"shape": [2, 3]},
    }
    with pytest.raises(StateError, match="is closed; open it first"):
        bench.settings()


def test_a_restored_bench_goes_on_bit_for_bit(write: Write) -> None:
    def draw(bench: Bench) -> list[float]:
        table = bench.plants["table"]
        assert isinstance(table, Table)
        return [float(x) for x in table.generator.standard_normal(5)]

    path = write()
    with Bench.from_file(path) as bench:
        draw(bench)
        bench.clock.sleep_until(1.25)
        state = bench.state()
        expected = draw(bench)
    with Bench.from_file(path) as resumed:
        assert draw(resumed) != expected
        resumed.restore(state)
        assert resumed.clock.now_s() == 1.25
        assert draw(resumed) == expected


def test_a_foreign_state_is_refused(write: Write) -> None:
    with Bench.from_file(write()) as bench:
        with pytest.raises(RunError, match="has the plants lake, the bench has table"):
            bench.restore({"plants": {"lake": {}}, "clock_s": 0.0})
        state = bench.state()
        bench.clock.sleep_until(1.0)
        with pytest.raises(RunError, match="does not run backwards"):
            bench.restore(state)


def test_all_share_one_clock(write: Write) -> None:
    with Bench.from_file(write()) as bench:
        assert isinstance(bench.clock, SimulatedClock)
        clocks = {id(device.clock) for device in bench.devices.values()}
        table = bench.plants["table"]
        assert isinstance(table, Table)
        assert clocks == {id(bench.clock), id(table.clock)}


def test_the_clock_can_be_given(write: Write) -> None:
    clock = SimulatedClock(5.0)
    with Bench.from_file(write(), clock=clock) as bench:
        assert bench.clock is clock


def test_a_real_bench_has_the_real_clock_and_no_plants(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text("bench: {name: real}\ndevices:\n  supply: {driver: 'tests.bench.stand_ins:Supply'}\n")
    with Bench.from_file(path) as bench:
        assert isinstance(bench.clock, RealClock)
        assert bench.state() == {"plants": {}, "systems": {}}
        bench.restore({"plants": {}})
        assert isinstance(bench.devices["supply"], Device)
        with pytest.raises(BenchLookupError, match="there are no plants"):
            bench.plants["table"]


def test_a_bench_opens_in_any_thread(write: Write) -> None:
    bench = Bench.from_file(write())
    thread = threading.Thread(target=bench.open)
    thread.start()
    thread.join()
    assert states(bench) == {State.OPEN}
    bench.close()
    assert states(bench) == {State.CLOSED}


def test_reprs_name_the_bench_and_its_devices(write: Write) -> None:
    bench = Bench.from_file(write())
    assert repr(bench) == "<Bench 'three', closed: slm, camera, card>"
