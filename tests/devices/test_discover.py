"""Looking for instruments before any is opened."""

import pytest

from pnnlab.bench import find_driver, installed_drivers
from pnnlab.devices import Candidate, Identity

SIMULATED = [driver.name for driver in installed_drivers() if driver.name.startswith("sim-")]


@pytest.mark.parametrize("name", SIMULATED)
def test_simulated_drivers_find_nothing(name: str) -> None:
    assert list(find_driver(name).discover()) == []


def test_a_candidate_may_need_no_options() -> None:
    found = Candidate(Identity("Acme", "One", "7"))
    assert (dict(found.options), found.note) == ({}, "")
