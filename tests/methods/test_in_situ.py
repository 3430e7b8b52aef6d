"""In situ backpropagation beside autograd through the chip itself, by the devices' path in double precision."""

import pytest
import torch
from torch import Tensor, nn

from pnnlab.errors import CapabilityError, SetpointError
from pnnlab.methods import InSitu, InSituOptions, make_method
from pnnlab.nn import Reencode
from scripts.setups.mesh_bench import MeshBench
from tests.methods.set_ups import setting

EXACT = 1e-9
COUPLER = {"coupler_loss_db": 0.1755}
"""2 % of the amplitude."""


def gradients(bench: MeshBench, method: InSitu, n_layers: int = 1) -> tuple[list[Tensor], list[Tensor]]:
    """Return what the method and what autograd say, by layer; the last are those of the inputs."""
    layers, between = bench.layers(n_layers), Reencode(bench.mesh.n_in)
    model = nn.Sequential(*[module for layer in layers for module in (between, layer)][1:])
    generator = torch.Generator().manual_seed(7)
    x = (2 * torch.rand(3, bench.mesh.n_in, generator=generator, dtype=torch.float64) - 1).requires_grad_()
    target = torch.rand(3, bench.mesh.n_out, generator=generator, dtype=torch.float64)
    method.prepare(model, setting())
    model(x).sub(target).square().sum().backward()
    found = [*(layer.raw_controls.grad for layer in layers), x.grad]
    for tensor in (x, *(layer.raw_controls for layer in layers)):
        tensor.grad = None
    bench.truth(layers, between, x).sub(target).square().sum().backward()
    exact = [*(layer.raw_controls.grad for layer in layers), x.grad]
    return found, exact  # type: ignore[return-value]


def error(found: Tensor, exact: Tensor) -> float:
    return float((found - exact).norm() / exact.norm())


def cosine(found: Tensor, exact: Tensor) -> float:
    return float(nn.functional.cosine_similarity(found, exact, dim=0))


@pytest.mark.parametrize("losses", [{}, COUPLER, {"guide_loss_db": 0.5, **COUPLER}], ids=str)
@pytest.mark.parametrize("ports", [("amplitudes", "powers", 0), ("fields", "fields", 1)], ids=str)
def test_overlap_of_fields_is_exact_with_any_loss(losses: dict[str, float], ports: tuple[str, str, int]) -> None:
    inputs, outputs, references = ports
    wiring = {"inputs": inputs, "outputs": outputs, "references": references}
    bench = MeshBench(losses, wiring, taps="field")
    found, exact = gradients(bench, InSitu(InSituOptions(read_out="field")), n_layers=3)
    assert all(error(one, other) < EXACT for one, other in zip(found, exact, strict=True))
    assert bench.mesh.n_shots == 3 * 3 * 2  # three samples, three layers, there and back


@pytest.mark.parametrize(
    "options",
    [{}, {"protocol": "lock_in"}, {"protocol": "lock_in", "phases": 5}],
    ids=str,
)
def test_intensities_are_exact_without_loss(options: dict[str, object]) -> None:
    found, exact = gradients(MeshBench(), InSitu(InSituOptions.model_validate(options)), n_layers=2)
    assert all(error(one, other) < EXACT for one, other in zip(found, exact, strict=True))


def test_intensities_of_a_lossy_mesh_err_and_a_known_loss_corrects_them() -> None:
    loss = {"guide_loss_db": 1.0}
    (found, _), (exact, _) = gradients(MeshBench(loss, ports=8), InSitu())
    assert 0.5 < cosine(found, exact) < 0.95
    (found, back), (exact, forth) = gradients(MeshBench(loss, ports=8), InSitu(InSituOptions(loss_db=1.0)))
    assert error(found, exact) < EXACT and error(back, forth) < EXACT


def test_a_triangle_does_as_well_as_a_rectangle() -> None:
    bench = MeshBench({"arrangement": "reck", "guide_loss_db": 0.5}, ports=5)
    (found, back), (exact, forth) = gradients(bench, InSitu(InSituOptions(loss_db=0.5, arrangement="reck")))
    assert error(found, exact) < EXACT and error(back, forth) < EXACT


def test_a_chip_that_is_not_reciprocal_errs_more_the_less_it_is() -> None:
    errors = []
    for phase in (0.0, 0.03, 0.1, 0.3):
        bench = MeshBench({"nonreciprocity_rad": phase}, taps="field")
        (found, _), (exact, _) = gradients(bench, InSitu(InSituOptions(read_out="field")))
        errors.append(error(found, exact))
    assert errors[0] < EXACT and errors == sorted(errors) and errors[-1] > 0.1


def test_hidden_resistances_and_gains_scale_components_and_no_more() -> None:
    (found, _), (exact, _) = gradients(MeshBench({"heater_spread": 0.05, "tap_gain_spread": 0.05}), InSitu())
    assert 0.99 < cosine(found, exact) < 1 - 1e-6


@pytest.mark.parametrize("update", ["proportional", "sign"])
def test_analog_updates_follow_the_gradient_without_the_optimiser(update: str) -> None:
    bench = MeshBench()
    (layer,) = bench.layers()
    method = make_method("in_situ", {"update": update, "protocol": "lock_in"})
    method.prepare(model := nn.Sequential(layer), setting())
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    x, target = torch.rand(4, 4, dtype=torch.float64), torch.rand(4, 4, dtype=torch.float64)
    before = layer.raw_controls.detach().clone()

    def losses() -> float:
        return method.step(model, x, target, nn.functional.mse_loss, optimiser)["loss"]

    first = losses()
    moved = layer.raw_controls.detach() - before
    layer.raw_controls.data.copy_(before)
    truth = nn.functional.mse_loss(bench.truth([layer], nn.Identity(), x), target)
    (exact,) = torch.autograd.grad(truth, layer.raw_controls)
    expected = -1e-3 * (exact.sign() if update == "sign" else exact)
    # phases of outputs do not matter to powers: their gradient is nothing, and has no sign
    torch.testing.assert_close(moved[:-4], expected[:-4], rtol=1e-6, atol=1e-12)
    assert [losses() for _ in range(20)][-1] < first
    assert not optimiser.state


def test_what_a_chip_cannot_read_is_told() -> None:
    with pytest.raises(CapabilityError, match="its taps tell intensities; set the method's `read_out`"):
        gradients(MeshBench(), InSitu(InSituOptions(read_out="field")))
    with pytest.raises(SetpointError, match="lower the system's `input_amplitude`"):
        bench = MeshBench(wiring={"input_amplitude": 1.0})
        method, (layer,) = InSitu(), bench.layers()
        method.prepare(nn.Sequential(layer), setting())
        layer(torch.ones(1, 4, dtype=torch.float64)).sum().backward()


def test_errors_that_vanish_are_no_trouble() -> None:
    bench = MeshBench()
    (layer,) = bench.layers()
    InSitu().prepare(nn.Sequential(layer), setting())
    (0 * layer(torch.rand(2, 4, dtype=torch.float64))).sum().backward()
    assert layer.raw_controls.grad is not None and not layer.raw_controls.grad.any()
