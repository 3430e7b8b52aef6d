"""Learning twins from shots."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pnnlab.errors import TwinError
from pnnlab.nn import PhysicalLayer, interface_of, record_shots
from pnnlab.twins import (
    EnsembleTwin,
    EnsembleTwinConfig,
    FitConfig,
    Interface,
    MlpTwinConfig,
    OpticalTwinConfig,
    PlantTwinConfig,
    ResidualTwinConfig,
    ShotSet,
    evaluate,
    fit,
    make_twin,
)
from tests.benches import OpticalBench

CAVITY = Path(__file__).parents[3] / "shared" / "data" / "acoustic_cavity.npz"


def random_shots(bench: OpticalBench, n: int = 768) -> ShotSet:
    torch.manual_seed(0)
    layer = PhysicalLayer(bench.optics)
    with torch.no_grad(), record_shots(layer) as shots:
        for _ in range(n // 64):
            layer.raw_controls.copy_(torch.rand(layer.system.n_controls))
            layer(torch.rand(64, layer.system.n_in) * 4)
    return ShotSet.join(shots["optics"])


def mismatched_bench() -> OpticalBench:
    return OpticalBench(table={"medium_mismatch": 0.3}, slm={"flatness_rad": 0.3, "bend_rad": 0.2})


def test_fitting_brings_the_optical_twin_to_the_noise_of_the_camera() -> None:
    """Held-out error near the truth's own: what is left of the plant's exact answer is camera noise."""
    bench = mismatched_bench()
    shots = random_shots(bench, 1536)
    design = OpticalTwinConfig(macropixels=(8, 8), outputs=(8, 8), seed=7)
    twin = make_twin(design, interface_of(bench.optics))
    before = evaluate(twin, shots).r2_total
    report = fit(twin, shots, FitConfig(epochs=40, learning_rate=1e-2))
    truth = evaluate(make_twin(PlantTwinConfig(), interface_of(bench.optics)), shots)
    assert before < 0.9 and report.r2_total > 0.99
    assert float(report.rmse.mean()) < 4 * float(truth.rmse.mean())
    assert report.n_train + report.n_validation == len(shots)


def test_residual_learns_what_the_physics_leaves() -> None:
    """Four phases and four bins of many modes each: more than one small matrix can express, little enough to learn."""
    bench = OpticalBench(system={"encoder": {"macropixels": (2, 2)}, "decoder": {"bins": (2, 2)}})
    shots = random_shots(bench, 1536)
    physics = OpticalTwinConfig(macropixels=(2, 2), outputs=(2, 2))
    alone, both = (
        make_twin(config, interface_of(bench.optics))
        for config in (physics, ResidualTwinConfig(physics=physics, residual=MlpTwinConfig(hidden=(64, 64))))
    )
    start = torch.rand(3, 4)
    with torch.no_grad():
        torch.testing.assert_close(both(start), alone(start))  # the residual is silent until it has learned
    settings = FitConfig(epochs=40, learning_rate=5e-3)
    assert fit(both, shots, settings).r2_total > fit(alone, shots, settings).r2_total + 0.02


def test_the_same_seed_fits_the_same_twin() -> None:
    bench = mismatched_bench()
    shots = random_shots(bench, 256)
    fitted = []
    for _ in range(2):
        twin = make_twin(MlpTwinConfig(hidden=(16,)), interface_of(bench.optics))
        fit(twin, shots, FitConfig(epochs=3))
        fitted.append(twin.state_dict())
    assert all(torch.equal(fitted[0][name], fitted[1][name]) for name in fitted[0])


def test_early_stopping_keeps_the_best_epoch() -> None:
    interface = Interface(drive_shapes=((3,),), output_shape=(1,))
    torch.manual_seed(0)
    x = torch.rand(40, 3)
    shots = ShotSet((x,), x.sum(1, keepdim=True) + torch.randn(40, 1))
    twin = make_twin(MlpTwinConfig(hidden=(64, 64)), interface)
    report = fit(twin, shots, FitConfig(epochs=300, learning_rate=1e-2, patience=8, validation=0.4))
    assert len(report.history) < 300
    held_out = float((report.measured - report.predicted).square().mean())
    spread = float(report.history[-1]) / min(report.history)
    assert spread > 1  # it had become worse again, and the best was restored
    assert held_out == pytest.approx(float(report.rmse.square().mean()))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (OpticalTwinConfig(macropixels=(4, 4), outputs=(8, 8)), r"\(4, 4\) macropixels .* the system has \(\(64,\),\)"),
    ],
)
def test_a_twin_of_another_system_is_refused(config: OpticalTwinConfig, message: str) -> None:
    with pytest.raises(TwinError, match=message):
        make_twin(config, interface_of(OpticalBench().optics))


def test_a_real_system_tells_no_truth() -> None:
    with pytest.raises(TwinError, match=r"only simulated systems tell the truth; fit another twin"):
        make_twin(PlantTwinConfig(), Interface(drive_shapes=((4,),), output_shape=(2,)))


def test_nothing_to_learn_from_is_said() -> None:
    interface = Interface(drive_shapes=((3,),), output_shape=(1,))
    with pytest.raises(TwinError, match=r"1 shots are too few; record more"):
        fit(make_twin(MlpTwinConfig(), interface), ShotSet((torch.rand(1, 3),), torch.rand(1, 1)))


def test_shots_survive_a_file(tmp_path: Path) -> None:
    shots = ShotSet((torch.rand(5, 4), torch.rand(5, 2, 3)), torch.rand(5, 6))
    shots.save(tmp_path / "shots.nc")
    back = ShotSet.load(tmp_path / "shots.nc")
    assert torch.equal(back.y, shots.y) and all(torch.equal(a, b) for a, b in zip(back.drive, shots.drive, strict=True))
    (tmp_path / "junk.nc").write_bytes(b"\x00junk")
    with pytest.raises(TwinError, match=r"junk\.nc: no recorded shots can be read"):
        ShotSet.load(tmp_path / "junk.nc")


@pytest.mark.skipif(not CAVITY.exists(), reason="the record of a real acoustic cavity lies beside the project")
def test_twin_of_a_real_acoustic_cavity_beats_linear_regression() -> None:
    """9000 recorded shots of real physics; linear regression as the reference, on the same held-out third."""
    with np.load(CAVITY) as data:
        inputs, outputs = (torch.from_numpy(data[name][1:]).float() for name in ("inputs", "outputs"))
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    learn, judge = order[:6000], order[6000:]
    ones = torch.ones(len(inputs), 1)
    design = torch.cat([inputs, ones], 1)
    linear = design[judge] @ torch.linalg.lstsq(design[learn], outputs[learn]).solution
    twin = make_twin(MlpTwinConfig(hidden=(128, 128)), Interface(drive_shapes=((20,),), output_shape=(20,)))
    fit(twin, ShotSet((inputs[learn],), outputs[learn]), FitConfig(epochs=30, learning_rate=1e-3))
    ours = evaluate(twin, ShotSet((inputs[judge],), outputs[judge])).r2
    truth = outputs[judge]
    theirs = 1 - (truth - linear).square().sum(0) / (truth - truth.mean(0)).square().sum(0)
    assert float(ours.mean()) > float(theirs.mean()) + 0.01
    # an output that linear regression nearly exhausts may lose a little to the perceptron's variance
    assert bool((ours > theirs - 0.03).all())


def test_an_ensemble_is_better_than_its_members_and_knows_where_it_is_unsure() -> None:
    """A known function with noise: unsure far from the shots, and about as wrong as it says near them."""
    interface = Interface(((2,),), (1,))
    draw = torch.Generator().manual_seed(0)
    x = torch.rand((600, 2), generator=draw) * 2 - 1
    y = (3 * x[:, :1]).sin() * x[:, 1:] + 0.02 * torch.randn((600, 1), generator=draw)
    shots = ShotSet((x,), y)
    twin = make_twin(EnsembleTwinConfig(member=MlpTwinConfig(hidden=(32, 32)), size=4), interface)
    assert isinstance(twin, EnsembleTwin)
    report = fit(twin, shots, FitConfig(epochs=60, learning_rate=1e-2, patience=60))
    members = [evaluate(member, shots).r2_total for member in twin.members]  # type: ignore[arg-type]
    assert evaluate(twin, shots).r2_total > sum(members) / len(members)
    assert report.r2_total > 0.97 and report.certainty is not None and 0.2 < report.certainty < 3
    near, far = torch.zeros(1, 2), torch.full((1, 2), 4.0)
    with torch.no_grad():
        assert float(twin.spread(far)) > 10 * float(twin.spread(near))
    # one and the same seed gives one and the same ensemble
    again = make_twin(EnsembleTwinConfig(member=MlpTwinConfig(hidden=(32, 32)), size=4), interface)
    fit(again, shots, FitConfig(epochs=60, learning_rate=1e-2, patience=60))
    assert torch.equal(again(x), twin(x))


def test_an_ensemble_of_one_is_refused() -> None:
    member = make_twin(MlpTwinConfig(hidden=(4,)), Interface(((2,),), (1,)))
    with pytest.raises(TwinError, match="take at least two"):
        EnsembleTwin([member])
