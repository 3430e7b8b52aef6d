"""`pnnlab devices`."""

import json


def test_devices_are_shown_with_identity_settings_and_limits(pnnlab) -> None:
    answer = pnnlab("devices")
    assert answer.code == 0
    for word in ("SpatialLightModulator", "serial SIM-SLM-1", "pitch 8 um", "level 0 to 255", "100 us to 100 ms"):
        assert word in answer.out
    assert answer.out == pnnlab("devices", "list", "--bench", "instruments.yaml").out


def test_json_is_in_si_units(pnnlab) -> None:
    devices = {device["name"]: device for device in json.loads(pnnlab("devices", "--json").out)}
    assert devices["camera"]["roles"] == ["Camera"]
    assert devices["camera"]["settings"]["exposure_s"] == 2e-3
    assert devices["camera"]["limits"]["exposure"] == {"unit": "s", "low": 1e-4, "high": 0.1, "slew_per_s": None}
    assert devices["slm"]["state"] == "open"


def test_another_instrument_is_device_trouble(pnnlab, edit) -> None:
    edit("serial: SIM-CAM-1", "serial: ANOTHER")
    answer = pnnlab("devices")
    assert answer.code == 3
    assert "camera: another instrument answered" in answer.err
    assert "Traceback" not in answer.err


def test_drivers_are_listed_without_a_bench(pnnlab, folder) -> None:
    (folder / "instruments.yaml").unlink()
    answer = pnnlab("devices", "drivers", "--json")
    assert answer.code == 0
    # whether pnnlab is installed here or run from its sources, the list is one
    assert isinstance(json.loads(answer.out), list)
    assert pnnlab("devices", "drivers").code == 0


def test_what_a_scan_finds_is_a_bench_file(pnnlab, folder) -> None:
    answer = pnnlab("devices", "scan", "tests.bench.finders:Finder", "tests.bench.finders:Raising")
    assert answer.code == 3
    assert "2 instruments found; asked: tests.bench.finders:Finder" in answer.err
    assert "tests.bench.finders:Raising: OSError" in answer.err
    (folder / "found.yaml").write_text(answer.out, encoding="utf-8")
    assert pnnlab("check", "found.yaml").code == 0


def test_a_scan_may_be_machine_read(pnnlab) -> None:
    answer = pnnlab("devices", "scan", "tests.bench.finders:Finder", "--json", "--timeout", "60 s")
    assert answer.code == 0
    (first, _) = json.loads(answer.out)["found"]
    assert (first["identity"]["serial"], first["options"]["delay"]) == ("0042", "0.002 s")


def test_a_timeout_has_a_unit(pnnlab) -> None:
    answer = pnnlab("devices", "scan", "--timeout", "20")
    assert answer.code == 2 and "write a number and its unit" in answer.err
