"""Asking all drivers at once what they could open."""

import time
from pathlib import Path

import pytest

from pnnlab.bench import BenchFile, InstalledDriver, Scan, bench_text, scan
from pnnlab.bench._scan import families

FINDER, HANGING, CRASHING, RAISING = (
    f"tests.bench.finders:{name}" for name in ("Finder", "Hanging", "Crashing", "Raising")
)


@pytest.fixture(scope="module")
def result() -> Scan:
    return scan(timeout_s=60.0, drivers=[FINDER, CRASHING, RAISING, "sim-dak"])


def test_what_is_found_is_a_bench_file(result: Scan, tmp_path: Path) -> None:
    path = tmp_path / "instruments.yaml"
    path.write_text(bench_text(result.found), encoding="utf-8")
    first, second = BenchFile.load(path).config.devices.values()
    assert (first.name, first.identity.serial) == ("dac", "0042")
    assert first.options.model_dump() == {"port": "COM3", "delay_s": 2e-3, "mode": "fast"}
    assert (second.name, second.identity.model, second.options.port) == ("dac-2", "DAC-8", "COM4")
    assert "# Acme DAC-8 serial 0042 (DAC): two lines" in path.read_text(encoding="utf-8")


def test_drivers_that_fail_are_named_with_the_reason(result: Scan) -> None:
    assert result.asked == [FINDER]
    assert "ended with code 139" in result.failed[CRASHING]
    assert result.failed[RAISING] == "OSError: the driver of the kernel is missing"
    assert "did you mean 'sim-dac'?" in result.failed["sim-dak"]


def test_a_driver_that_hangs_is_named_and_waited_for_no_longer() -> None:
    begin_s = time.monotonic()
    found = scan(timeout_s=2.0, drivers=[HANGING])
    assert 2.0 <= time.monotonic() - begin_s < 10.0
    assert "not answered within 2 s" in found.failed[HANGING]


def test_drivers_of_one_package_are_one_family() -> None:
    installed = [
        InstalledDriver("dac", "lab.acme.dac:Dac", "lab 1"), InstalledDriver("adc", "lab.acme.adc:Adc", "lab 1"),
        InstalledDriver("slm", "lab.panel.slm:Slm", "lab 1"),
    ]  # fmt: skip
    assert families(["slm", "dac", "own:Mine", "adc"], installed) == [["slm"], ["dac", "adc"], ["own:Mine"]]
