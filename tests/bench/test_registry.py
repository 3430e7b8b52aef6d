"""Drivers by entry point and by `module:Class`."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pnnlab.bench import BenchLookupError, find_driver, find_plant, installed_drivers, installed_plants
from pnnlab.bench._registry import distribution_of
from tests.bench.stand_ins import Panel, Table

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a distribution with entry points: a folder of metadata is all it takes."""

    def install(name: str, entry_points: str, *, requires: str = "") -> None:
        folder = tmp_path / name
        info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n{requires}")
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(str(folder))

    return install


def test_an_installed_driver_is_found_by_its_name(install: Install) -> None:
    install("lab-drivers", "[pnnlab.drivers]\nlab-slm = tests.bench.stand_ins:Panel\n")
    assert find_driver("lab-slm") is Panel
    listed = {driver.name: driver for driver in installed_drivers()}
    assert listed["lab-slm"].target == "tests.bench.stand_ins:Panel"
    assert listed["lab-slm"].distribution == "lab-drivers 1.2"


def test_an_installed_plant_is_found_by_its_name(install: Install) -> None:
    install("lab-drivers", "[pnnlab.plants]\nlab-table = tests.bench.stand_ins:Table\n")
    assert find_plant("lab-table") is Table
    assert "lab-table" in [plant.name for plant in installed_plants()]


def test_listing_imports_nothing(install: Install) -> None:
    sys.modules.pop("tests.bench.crashes", None)
    install("lab-drivers", "[pnnlab.drivers]\nlab-crash = tests.bench.crashes:Panel\n")
    assert "lab-crash" in [driver.name for driver in installed_drivers()]
    with pytest.raises(BenchLookupError, match="ZeroDivisionError"):
        find_driver("lab-crash")


def test_a_name_claimed_by_two_distributions_is_refused_naming_both(install: Install) -> None:
    install("lab-drivers", "[pnnlab.drivers]\nlab-slm = tests.bench.stand_ins:Panel\n")
    install("other-drivers", "[pnnlab.drivers]\nlab-slm = tests.bench.stand_ins:Eye\n")
    with pytest.raises(BenchLookupError) as caught:
        find_driver("lab-slm")
    assert str(caught.value) == (
        "driver 'lab-slm' is claimed by lab-drivers 1.2 (tests.bench.stand_ins:Panel) and other-drivers 1.2 "
        "(tests.bench.stand_ins:Eye); uninstall one, or write 'module:Class'"
    )
    assert find_driver("tests.bench.stand_ins:Panel") is Panel


def test_an_unknown_name_is_answered_with_the_nearest(install: Install) -> None:
    install("lab-drivers", "[pnnlab.drivers]\nlab-slm = tests.bench.stand_ins:Panel\n")
    with pytest.raises(BenchLookupError, match=r"^no driver is named 'lab-slmm'; did you mean 'lab-slm'\?$"):
        find_driver("lab-slmm")
    with pytest.raises(BenchLookupError, match=r"installed drivers are .*lab-slm.*'module:Class'$"):
        find_driver("oscilloscope")


@pytest.mark.parametrize(
    ("entry", "requires", "advice"),
    [
        ("tests.bench.needs_sdk:Panel [santec]", "", "install lab-drivers\\[santec\\]$"),
        (
            "tests.bench.needs_sdk:Panel",
            'Requires-Dist: santec-sdk-that-nobody-has>=2; extra == "slms"\n',
            "install lab-drivers\\[slms\\]$",
        ),
        ("tests.bench.needs_sdk:Panel", "Requires-Dist: numpy\n", "install the package that provides 'santec_sdk"),
    ],
)
def test_a_missing_sdk_is_told_with_the_extra_that_brings_it(
    install: Install, entry: str, requires: str, advice: str
) -> None:
    install("lab-drivers", f"[pnnlab.drivers]\nlab-slm = {entry}\n", requires=requires)
    with pytest.raises(BenchLookupError, match=f"'lab-slm' does not import: it needs the module .*{advice}"):
        find_driver("lab-slm")


def test_the_distribution_of_a_class_is_known(install: Install) -> None:
    assert distribution_of(Panel) is None
    install("lab-drivers", "[pnnlab.drivers]\nlab-slm = tests.bench.stand_ins:Panel\n")
    assert distribution_of(Panel) == "lab-drivers 1.2"


def test_a_class_inside_a_class_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench_test_nested.py").write_text(
        "from tests.bench.stand_ins import Panel\n\n\nclass Drivers:\n    Slm = Panel\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_driver("bench_test_nested:Drivers.Slm") is Panel


def test_a_module_that_ends_the_process_is_a_broken_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bench_test_exits.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BenchLookupError, match="does not import: SystemExit: 3"):
        find_driver("bench_test_exits:Slm")
