"""Contrastive Hebbian learning and agnostic equilibrium propagation, against what can be said on paper."""

import numpy as np
import pytest
import torch
from torch import nn

from pnnlab.errors import CapabilityError, RunError
from pnnlab.methods import (
    AgnosticEquilibriumPropagation,
    AgnosticEquilibriumPropagationOptions,
    ContrastiveHebbian,
    ContrastiveHebbianOptions,
    Setting,
    TrainingMethod,
)
from pnnlab.nn import ClassBins, PhysicalLayer
from pnnlab.systems import Capability, CoupledNodes, FloatArray
from scripts.setups.coupled_nodes import batch, distance, exact_gradient, nodes

SETTING = Setting(3, 2, 10, 0.0, dtype=torch.float64)
BY_CLASS = ContrastiveHebbian(ContrastiveHebbianOptions(targets="classes"))


def model_of(system: CoupledNodes, theta: FloatArray) -> nn.Sequential:
    return nn.Sequential(PhysicalLayer(system, controls=torch.from_numpy(theta)), ClassBins(system.n_out, 2))


def step_of(method: TrainingMethod, model: nn.Sequential, x: FloatArray, classes: torch.Tensor) -> FloatArray:
    """Return the gradient that one step of a method leaves with the raw controls."""
    method.prepare(model, SETTING)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.0)
    told = method.step(model, torch.from_numpy(x), classes, nn.functional.cross_entropy, optimiser)
    assert np.isfinite(told["loss"])
    gradient = model[0].raw_controls.grad
    assert gradient is not None
    return gradient.numpy()


def test_on_sampled_spins_it_is_boltzmann_learning() -> None:
    system = nodes("ising", temperature=1.3)
    x, theta, _ = batch(system)
    classes = torch.tensor([0, 1, 1, 0])
    model = model_of(system, theta)
    found = step_of(BY_CLASS, model, x, classes)
    layer = model[0]
    # the moments of a pair of spins of +-1 tell the probabilities of their four states
    readings = _moments(system, torch.from_numpy(x), layer.controls)
    first, second, both = readings.unbind(-1)
    sign = torch.where(classes == 0, 1.0, -1.0)
    probability = (1 + sign * first - sign * second - both) / 4  # held at +-1 and -+1
    loss = -1.3 * probability.log().mean()
    layer.raw_controls.grad = None
    (exact,) = torch.autograd.grad(loss, layer.raw_controls)
    assert distance(found, exact.numpy()) < 1e-9


def _moments(system: CoupledNodes, x: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Return the mean of both output spins and of their product, shape `(batch, 3)`, of the truth."""
    sensor = system.sensor
    volts: torch.Tensor = sensor.expected(*system.to_setpoints(*system.encode(x, theta)))[:, -1]  # type: ignore[attr-defined]
    return volts[:, [3, 4, 14]]  # 5 free spins: the last pair of theirs is the last reading


def test_it_moves_free_outputs_to_their_targets() -> None:
    system = nodes("hopfield", config={"largest_coupling": 0.7})
    x, theta, _ = batch(system)
    classes = torch.tensor([0, 1, 1, 0])
    model = model_of(system, theta)
    method = ContrastiveHebbian(ContrastiveHebbianOptions(targets="classes", high=0.6, low=-0.6))
    method.prepare(model, SETTING)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.3)
    inputs = torch.from_numpy(x)
    losses = [
        method.step(model, inputs, classes, nn.functional.cross_entropy, optimiser)["loss"] for _ in range(15)
    ]  # fmt: skip
    assert losses[-1] < 0.1 * losses[0]
    with torch.no_grad():
        assert bool((method.predict(model, inputs).argmax(-1) == classes).all())


def test_targets_of_hidden_layers_are_asked_of_nobody() -> None:
    system = nodes("hopfield", (3, 3, 3))
    two = nn.Sequential(PhysicalLayer(system), PhysicalLayer(system), ClassBins(3, 2))
    with pytest.raises(RunError, match="2 layers"):
        BY_CLASS.prepare(two, SETTING)
    with pytest.raises(RunError, match="1 outputs for 2 classes"):
        BY_CLASS.prepare(nn.Sequential(PhysicalLayer(nodes("hopfield", (3, 3, 1)))), SETTING)


# Agnostic equilibrium propagation


def agnostic(compliance: float, beta: float = 0.01, nudge: str = "centred") -> tuple[float, float]:
    """Return the relative errors of outputs and gradient against couplings that hold."""
    soft = nodes("hopfield", compliance=compliance, config={"compliance": compliance})
    hard = nodes("hopfield")
    x, theta, target = batch(hard)
    options = AgnosticEquilibriumPropagationOptions(beta=beta, homeostasis=6, nudge=nudge, normalise=False)  # type: ignore[arg-type]
    adjoint = AgnosticEquilibriumPropagation(options).make_adjoint(soft)
    y, memory = adjoint.forward(x, theta)
    _, found = adjoint.backward(memory, (y - target) / len(x))
    return distance(y, hard.measure(x, theta).y), distance(found, exact_gradient(hard, x, theta, target)[1])


def test_controls_move_down_their_gradient_up_to_their_softness() -> None:
    errors = [agnostic(compliance)[1] for compliance in (0.004, 0.02)]
    assert errors[0] < 0.01
    assert errors[1] / errors[0] == pytest.approx(5, rel=0.15)  # of first order in the compliance


def test_its_bias_falls_with_the_nudge_and_with_its_square() -> None:
    left = agnostic(1e-4, 1e-3)[1]
    one_sided = [agnostic(1e-4, beta, "one_sided")[1] - left for beta in (0.03, 0.3)]
    centred = [agnostic(1e-4, beta)[1] - left for beta in (0.1, 0.4)]
    assert one_sided[1] / one_sided[0] == pytest.approx(10, rel=0.3)
    assert centred[1] / centred[0] == pytest.approx(16, rel=0.3)


def test_homeostasis_holds_the_controls_where_they_shall_be() -> None:
    assert agnostic(0.02)[0] < 1e-6
    soft = nodes("hopfield", compliance=0.02, config={"compliance": 0.02})
    assert Capability.SOFT_CONTROLS in soft.capabilities
    x, theta, _ = batch(soft)
    _, rest = soft.rest(x, theta)  # type: ignore[attr-defined]
    assert np.abs(rest - theta).max() > 1e-3  # without it they give way


def test_one_step_with_a_finite_nudge_lowers_the_loss() -> None:
    soft = nodes("hopfield", compliance=0.01, config={"compliance": 0.01})
    x, theta, _ = batch(soft)
    classes = torch.tensor([0, 1, 1, 0])
    model = model_of(soft, theta)
    method = AgnosticEquilibriumPropagation(AgnosticEquilibriumPropagationOptions(beta=0.3, normalise=True))
    method.prepare(model, SETTING)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = [
        method.step(model, torch.from_numpy(x), classes, nn.functional.cross_entropy, optimiser)["loss"]
        for _ in range(6)
    ]
    assert losses == sorted(losses, reverse=True)
    method.deploy(model)
    with torch.no_grad():
        assert method.predict(model, torch.from_numpy(x)).shape == (4, 2)


def test_hard_controls_are_no_use_to_it() -> None:
    with pytest.raises(CapabilityError, match="offers no `rest`"):
        AgnosticEquilibriumPropagation().make_adjoint(nodes("springs"))
