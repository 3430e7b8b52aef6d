"""A bench file's snapshot and hash."""

import json
from pathlib import Path

import pytest

from pnnlab.bench import BenchFile, ClockKind
from pnnlab.devices import Limits
from pnnlab.systems import SlmCamera
from tests.bench.stand_ins import Card, Eye, Panel

GOOD = Path(__file__).parent / "bench.yaml"


def changed(tmp_path: Path, old: str, new: str) -> BenchFile:
    text = GOOD.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / "changed.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return BenchFile.load(path)


def test_the_configuration_is_resolved() -> None:
    config = BenchFile.load(GOOD).config
    assert (config.name, config.clock) == ("test-table", ClockKind.SIMULATED)
    assert [(device.name, device.cls) for device in config.devices.values()] == [
        ("slm", Panel), ("camera", Eye), ("card", Card)
    ]  # fmt: skip
    assert config.devices["slm"].limits == {"level": Limits(0, 200)}
    assert config.devices["card"].limits["voltage"] == Limits(-5, 5, 10)
    assert config.devices["card"].limits["temperature"] == Limits(280, 310), "the roles' quantities add up"
    assert config.devices["slm"].identity.serial == "SIM-0001"
    assert config.systems["optics"].cls is SlmCamera
    assert config.systems["optics"].devices == {"slm": "slm", "camera": "camera"}


def test_the_snapshot_is_json_in_si_units_with_defaults() -> None:
    snapshot = json.loads(json.dumps(BenchFile.load(GOOD).snapshot(), allow_nan=False))
    assert snapshot["bench"] == {"name": "test-table", "clock": "simulated"}
    assert snapshot["plants"]["table"]["options"]["wavelength_m"] == pytest.approx(532e-9, rel=1e-12)
    camera = snapshot["devices"]["camera"]
    assert camera["driver"] == "tests.bench.stand_ins:Eye"
    assert camera["options"]["settle_s"] == pytest.approx(2e-3, rel=1e-12)
    assert camera["options"]["fails"] == "never", "defaults are filled in"
    assert camera["limits"]["exposure"]["unit"] == "s"
    assert snapshot["devices"]["slm"]["limits"]["level"]["slew_per_s"] is None
    assert snapshot["systems"]["optics"]["exposure_s"] == pytest.approx(1e-3, rel=1e-12)
    assert snapshot["training"] == {"epochs": 3}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("epochs: 3", "epochs: 4"),
        ("training:\n  epochs: 3", ""),
        ("exposure: 1 ms", "exposure: 0.001 s  # the same in other words"),
        ("{vendor: pnnlab, serial: SIM-0001}", "{serial: SIM-0001, vendor: pnnlab}"),
        ("settle: 2 ms", "settle: 2 ms\n      fails: never"),
    ],
)
def test_the_hash_is_that_of_the_hardware(tmp_path: Path, old: str, new: str) -> None:
    assert changed(tmp_path, old, new).hash == BenchFile.load(GOOD).hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed: 7", "seed: 8"),
        ("0 to 200", "0 to 201"),
        ("settle: 2 ms", "settle: 3 ms"),
        ("bins: [2, 2]", "bins: [4, 4]"),
        ("serial: SIM-0001", "serial: SIM-0002"),
    ],
)
def test_the_hash_changes_with_the_hardware(tmp_path: Path, old: str, new: str) -> None:
    file = changed(tmp_path, old, new)
    assert file.hash != BenchFile.load(GOOD).hash
    assert len(file.hash) == 64
