"""What is measured of coupled modes says which gradients are only near."""

import pytest

from pnnlab.systems import Capability
from pnnlab.training import measure_conditions
from scripts.setups.coupled_modes import kerr_modes, resonators


def test_non_reciprocity_and_a_kerr_shift_are_measured_and_told() -> None:
    def said(*found: object) -> dict[str, str]:
        return {one.name: one.says for one in found if one.bears_on is Capability.SCATTERING}  # type: ignore[attr-defined]

    met = {"reciprocity error": "met", "linearity error": "met"}
    assert said(*measure_conditions(resonators())) == met
    assert said(*measure_conditions(resonators(plant={"nonreciprocity": 0.1}))) == met | {
        "reciprocity error": "not met"
    }
    shifted = {one.name: one for one in measure_conditions(kerr_modes(kerr=0.3))}
    assert shifted["linearity error"].says == "not met"
    assert shifted["linearity error"].value == pytest.approx(0.1, abs=0.09)
