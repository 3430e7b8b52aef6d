"""Every method on every shipped simulated bench: it runs, or is told what is lacking and what would run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pnnlab.bench import Bench, BenchFile
from pnnlab.errors import CapabilityError
from pnnlab.methods import check_capabilities, find_method, known_methods
from pnnlab.systems import Capability, System
from pnnlab.training import Openness, find_openings, read_recipe

ROOT = Path(__file__).parents[2]
BENCHES = [
    path
    for path in (ROOT / "instruments.yaml", *sorted((ROOT / "scripts" / "benches").glob("*.yaml")))
    if BenchFile.load(path).document.at(("bench", "clock")) == "simulated"
]


@pytest.fixture(scope="module", params=BENCHES, ids=lambda path: path.stem)
def layers(request: pytest.FixtureRequest) -> Iterator[tuple[list[System], set[str]]]:
    """Open a bench; yield the systems of the layers of its first recipe, and those that have a twin."""
    with Bench.from_file(request.param) as bench:
        _, recipe = read_recipe(bench.file)
        yield [bench.systems[name] for name in recipe.network.layers], set(recipe.twins)


def test_every_method_runs_or_is_told_what_is_lacking(layers: tuple[list[System], set[str]]) -> None:
    systems, twins = layers
    found = find_openings(systems, twins).methods
    assert set(found) == set(known_methods())
    for name, opening in found.items():
        method = find_method(name)
        missing = {what for system in systems for what in method.needs - system.capabilities}
        assert (opening.openness is Openness.CLOSED) == bool(missing)
        assert all(what in opening.reason for what in missing)
        if opening.openness is Openness.TWIN:
            assert method.needs_twin
            assert twins < {system.name for system in systems}


def test_a_method_that_cannot_run_names_those_that_can(layers: tuple[list[System], set[str]]) -> None:
    systems, _ = layers
    for name in known_methods():
        method = find_method(name)
        if not any(method.needs - system.capabilities for system in systems):
            check_capabilities(method, systems)
            continue
        with pytest.raises(CapabilityError, match=f"{name!r} cannot run here: system .* lacks") as caught:
            check_capabilities(method, systems)
        named = str(caught.value).rpartition("methods that can are ")[2].split(", ")
        assert named
        for other in named:
            check_capabilities(find_method(other), systems)


def test_every_capability_that_a_method_needs_is_had_somewhere() -> None:
    """A method that no shipped bench can run would be one that nobody has seen run."""
    had: set[Capability] = set()
    for path in BENCHES:
        with Bench.from_file(path) as bench:
            for system in bench.systems.values():
                had |= system.capabilities
    assert {what for name in known_methods() for what in find_method(name).needs} <= had
