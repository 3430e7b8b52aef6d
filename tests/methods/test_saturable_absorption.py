"""Optical backpropagation through saturable absorbers beside autograd, by the devices' path in double precision."""

import numpy as np
import pytest
from torch import Tensor, nn

from pnnlab.errors import CapabilityError, SetpointError
from pnnlab.methods import SaturableAbsorption
from pnnlab.systems import Capability
from scripts.setups.absorber_bench import AbsorberBench
from scripts.setups.mesh_bench import MeshBench

WEAK = {"probe": 1e-4}


def cosine(found: Tensor, exact: Tensor) -> float:
    return float(nn.functional.cosine_similarity(found.flatten(), exact.flatten(), dim=0))


def test_without_absorbers_it_is_the_gradient() -> None:
    bench = AbsorberBench({"optical_depth": 0.0}, shape=(6, 4))
    for found, exact in zip(*bench.gradients(), strict=True):
        assert float((found - exact).norm() / exact.norm()) < 1e-9
    assert bench.system.n_shots == 2 * 4


@pytest.mark.parametrize("depth", [1.0, 3.0, 10.0, 30.0])
def test_the_probe_finds_the_direction_and_misses_a_constant(depth: float) -> None:
    """Fields at the cells reach up to the root of OD, or 3, as in the acceptance table; no two cells see the same."""
    bench = AbsorberBench({"optical_depth": depth, "pump": 1.3 * min(3, depth**0.5)}, WEAK, shape=(16, 12))
    (by_weights, by_inputs), (weights, inputs) = bench.gradients()
    assert cosine(by_weights, weights) > 0.95 and cosine(by_inputs, inputs) > 0.95
    scale = float((by_weights * weights).sum() / by_weights.square().sum())
    assert 1.0 < scale < 6.0


def test_the_probe_disturbs_when_it_is_not_weak_and_misses_when_beams_are_not_aligned() -> None:
    chip = {"optical_depth": 5.0, "pump": 2.0}

    def inputs_cosine(more: dict[str, float], probe: float) -> float:
        found, exact = AbsorberBench({**chip, **more}, {"probe": probe}, shape=(16, 12)).gradients()
        return cosine(found[1], exact[1])

    aligned, strong = inputs_cosine({}, 1e-4), inputs_cosine({}, 2.0)
    assert strong < aligned - 0.01
    degrades = [inputs_cosine({"nonreciprocity": off}, 1e-4) for off in (0.1, 0.3, 1.0)]
    assert [aligned, *degrades] == sorted([aligned, *degrades], reverse=True) and degrades[-1] < 0.9


def test_a_chip_that_was_read_before_still_tells_its_truth() -> None:
    """The readings of a bench are made in torch's inference mode; what is made there cannot be differentiated."""
    bench = AbsorberBench()
    bench.system.measure(np.zeros((1, 8)), np.full(64, 0.5))
    found, exact = bench.gradients()
    assert cosine(found[0], exact[0]) > 0.9


def test_what_cannot_be_sent_back_is_refused() -> None:
    bench = AbsorberBench()
    with pytest.raises(SetpointError, match=r"up to 2 are to be sent back.* nothing was sent"):
        bench.system.probe_back(np.zeros((1, 8)), np.full(64, 0.5), np.full((1, 8), 2.0))
    assert bench.system.n_shots == 0
    assert Capability.PUMP_PROBE in bench.system.capabilities
    with pytest.raises(CapabilityError, match="systems of the kind absorber have"):
        SaturableAbsorption().make_adjoint(MeshBench().mesh)
