"""Coupled modes between converters: channels, reciprocity, and what is refused."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pnnlab.errors import SetpointError
from pnnlab.systems import Capability, CarriesFields, Side
from pnnlab_drivers.sim.resonators import KerrModesBoard, ResonatorsBoard
from scripts.setups.coupled_modes import kerr_modes, resonators


def test_fields_sent_through_both_sides_are_transposes_and_non_reciprocity_breaks_it() -> None:
    for strength in (0.0, 0.1):
        system = resonators(plant={"nonreciprocity": strength})
        theta = np.full(system.n_controls, 0.5)
        assert isinstance(system, CarriesFields)
        found = [system.send(np.eye(12, dtype=complex), theta, side=side).out for side in (Side.IN, Side.OUT)]
        assert found[0] is not None and found[1] is not None
        off = np.abs(found[0] - found[1].T).max()
        assert off < 1e-12 if not strength else off > 1e-2


def test_inputs_are_seen_where_the_bench_file_says_and_repeated_where_there_is_room() -> None:
    system = resonators(system={"inputs": 3, "input_modes": (0, 4, 5, 7), "input_reach": 0.4})
    x, theta = np.array([[1.0, -0.5, 0.25]]), np.full(system.n_controls, 0.5)
    drive = system.encode(x, theta)[0]
    assert drive.shape == (1, 3 * 12 + 66)
    assert drive[0, :12] == pytest.approx([0.4, 0, 0, 0, -0.2, 0.1, 0, 0.4, 0, 0, 0, 0])
    assert drive[0, 12 + 66 + 2] == 1.0  # the probe
    assert not drive[0, 12 : 12 + 66].any()


def test_kerr_modes_take_their_inputs_as_fields() -> None:
    system = kerr_modes(kerr=0.1, system={"drive": 0.5, "input_reach": 0.3})
    field = system.injected(np.array([[1.0, 0.0, -1.0, 0.5]]), np.full(system.n_controls, 0.5))
    assert field[0] == pytest.approx([0.8, 0.5, 0.2, 0.65, 0, 0, 0, 0, 0, 0])
    assert Capability.RECIPROCAL not in system.capabilities and Capability.NUDGE in system.capabilities


def test_a_drive_at_modes_of_its_own_leaves_the_inputs_alone() -> None:
    system = kerr_modes(kerr=0.1, system={"drive": 0.5, "drive_modes": (5, 7), "input_reach": 0.3})
    field = system.injected(np.array([[1.0, 0.0, -1.0, 0.5]]), np.full(system.n_controls, 0.5))
    assert field[0] == pytest.approx([0.3, 0, -0.3, 0.15, 0, 0.5, 0, 0.5, 0, 0])
    with pytest.raises(SetpointError, match="`drive_modes` names mode 10, there are 10"):
        kerr_modes(kerr=0.1, system={"drive_modes": (10,)})
    with pytest.raises(ValidationError, match="different modes"):
        kerr_modes(kerr=0.1, system={"drive_modes": (5, 5)})


def test_what_cannot_be_is_refused_with_the_reason() -> None:
    with pytest.raises(SetpointError, match="`outputs` names mode 12, there are 12"):
        resonators(system={"outputs": (12,)})
    with pytest.raises(SetpointError, match="`probes` names mode 40"):
        resonators(system={"probes": (40,)})
    with pytest.raises(SetpointError, match="5 inputs are to be shown by 2 modes"):
        resonators(system={"inputs": 5, "input_modes": (0, 1)})
    with pytest.raises(SetpointError, match=r"drives 37 channels .* has 102"):
        resonators(system={"couplings": ((0, 1),)})
    with pytest.raises(ValidationError, match="different modes"):
        resonators(system={"outputs": (1, 1)})
    system = resonators()
    with pytest.raises(SetpointError, match=r"fields of shape \(2, 5\)"):
        system.scatter(np.zeros((2, 4)), np.full(system.n_controls, 0.5), np.zeros((2, 5), complex))
    assert system.n_shots == 0


def test_linear_modes_have_no_kerr_shift_and_kerr_modes_may() -> None:
    with pytest.raises(ValidationError, match="sim-kerr-modes"):
        ResonatorsBoard.Options.model_validate({"design": {"kerr_hz": 1.0}})
    KerrModesBoard.Options.model_validate({"design": {"kerr_hz": 1.0}})


def test_frequencies_that_jitter_make_readings_differ_but_not_the_truth() -> None:
    system = resonators(plant={"frequency_noise_hz": 1e4})
    x, theta = np.zeros((1, 4)), np.full(system.n_controls, 0.5)
    first, second = system.measure(x, theta).y, system.measure(x, theta).y
    assert 0 < np.abs(first - second).max() < 0.1
    truth = [system.expected(torch.as_tensor(system.encode(x, theta)[0])) for _ in range(2)]
    assert torch.equal(*truth)
