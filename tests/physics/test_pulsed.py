import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from pnnlab.errors import SetpointError
from pnnlab.physics import (
    PULSE_PRESETS,
    ConstantStep,
    ExponentialStep,
    LinearStep,
    PulsedCells,
    PulseResponse,
    Pulses,
    SoftBounds,
    apply_pulses,
    balanced_pulses,
    coincidences,
    draw_cells,
    fixed_pulses,
    pulse_preset,
    pulsed_update,
    symmetry_point,
)

EXPONENTIAL = ExponentialStep(
    a=-0.5, b=-0.5, amplitude_up=-1.18445, amplitude_down=-0.081404, gamma_up=5.0, gamma_down=5.0
)
LAWS = [ConstantStep(), LinearStep(0.4, 0.7, gamma_up_spread=0.05, gamma_down_spread=0.05), SoftBounds(), EXPONENTIAL]
ORDERS = ["frozen", "sequential"]
X = torch.tensor([[0.9, -0.5, 0.25, 0.0]], dtype=torch.float64)
D = torch.tensor([[1.0, -0.6, 0.2]], dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ideal(law: object = ConstantStep(), **changes: object) -> PulseResponse:
    return replace(PulseResponse("ideal", "no device", ConstantStep(), step=0.01), law=law, **changes)  # type: ignore[arg-type]


def spread(law: object) -> PulseResponse:
    return ideal(law, step_spread=0.3, asymmetry=0.2, asymmetry_spread=0.05, low_spread=0.2, high_spread=0.2)


def streams(n_slots: int, n_rows: int, n_cols: int, chance: float = 0.4) -> Pulses:
    def stream(n: int, generator: torch.Generator) -> Tensor:
        sign = torch.randint(0, 2, (n_slots, n), generator=generator) * 2 - 1
        return (sign * (torch.rand(n_slots, n, generator=generator) < chance)).to(torch.int8)

    return Pulses(stream(n_rows, seeded(1)), stream(n_cols, seeded(2)), torch.tensor(0))


def one_pulse_after_another(w: Tensor, pulses: Pulses, cells: PulsedCells) -> np.ndarray:
    """The update as the text tells it, cell by cell and slot by slot, without noise from pulse to pulse."""
    out = w.numpy().copy()
    low, high = cells.low.numpy(), cells.high.numpy()
    law = cells.response.law
    for row, column in zip(pulses.rows.tolist(), pulses.columns.tolist(), strict=True):
        for i, r in enumerate(row):
            for j, c in enumerate(column):
                if r * c == 0:
                    continue
                step = (cells.step_up if r * c > 0 else cells.step_down)[i, j].item()
                bend = (cells.bend_up if r * c > 0 else cells.bend_down)[i, j].item()
                if isinstance(law, ExponentialStep):
                    z = 2.0 * law.a * out[i, j] / (high[i, j] - low[i, j]) + law.b
                    a, gamma = (law.amplitude_up, law.gamma_up) if r * c > 0 else (law.amplitude_down, -law.gamma_down)
                    step *= max(1.0 - a * math.exp(gamma * z), 0.0)
                else:
                    step *= 1.0 - r * c * bend * out[i, j]
                out[i, j] = min(max(out[i, j] + r * c * step, low[i, j]), high[i, j])
    return out


def test_coincidences_are_those_of_a_loop_over_bits() -> None:
    pulses = streams(57, 6, 5)
    up, down = np.zeros((6, 5), int), np.zeros((6, 5), int)
    for row, column in zip(pulses.rows.tolist(), pulses.columns.tolist(), strict=True):
        for i in range(6):
            for j in range(5):
                up[i, j] += row[i] * column[j] == 1
                down[i, j] += row[i] * column[j] == -1
    assert up.max() > 5 and down.max() > 5
    n_up, n_down = coincidences(pulses)
    assert np.array_equal(n_up.numpy(), up)
    assert np.array_equal(n_down.numpy(), down)


@pytest.mark.parametrize("chance", [0.02, 0.1, 0.5])
def test_few_coincidences_are_counted_as_many_are(chance: float) -> None:
    # steps of powers of two and no noise: sums are exact, so the weights give the counts back
    cells = draw_cells(ideal(step=2.0**-12, asymmetry=0.5), 40, 50, seeded(), dtype=torch.float64)
    pulses = streams(30, 40, 50, chance)
    rows, columns = pulses.rows.double(), pulses.columns.double()
    net, total = rows.mT @ columns, rows.abs().mT @ columns.abs()
    assert (0.0 < total.mean() < 1.0 / 16.0) == (chance < 0.04), "the test should take both ways"
    w = apply_pulses(torch.zeros(40, 50, dtype=torch.float64), pulses, cells, generator=seeded())
    expected = 0.5 * (total + net) * 2.0**-12 - 0.5 * (total - net) * 2.0**-13
    assert torch.equal(w, expected)


@pytest.mark.parametrize("management", [fixed_pulses, balanced_pulses])
def test_steps_of_a_sample_are_binomial(management: object) -> None:
    n_samples, lr, step = 20_000, 0.05, 0.01
    # 0.05 0.9 1/0.01 = 4.5: five slots if balanced
    n = 10 if management is fixed_pulses else 5
    pulses = management(X.expand(n_samples, 4), D.expand(n_samples, 3), lr=lr, step=step, generator=seeded())  # type: ignore[operator]
    assert pulses.rows.shape == (n_samples * n, 4)
    assert pulses.n_saturated == 0
    rows, columns = (part.double().unflatten(0, (n_samples, n)) for part in (pulses.rows, pulses.columns))
    steps = torch.einsum("bki,bkj->bij", rows, columns)
    mean = -lr / step * X.mT @ D
    chance = mean.abs() / n
    variance = n * chance * (1.0 - chance)
    # five standard errors; the variance's error contains the fourth moment, at most 3 + 1/variance for a binomial
    assert ((steps.mean(0) - mean).abs() <= 5.0 * (variance / n_samples).sqrt()).all()
    kurtosis = 3.0 + 1.0 / variance.clamp(min=1e-9)
    found = steps.var(0)
    assert ((found - variance).abs() <= 5.0 * variance * ((kurtosis - 1.0) / n_samples).sqrt()).all()
    # the direction is that of descent, whatever the chance
    assert (steps * mean >= 0.0).all()


def test_cells_of_a_row_share_its_pulses() -> None:
    n_samples, n, lr, step = 40_000, 10, 0.05, 0.01
    pulses = fixed_pulses(
        X.expand(n_samples, 4), D.expand(n_samples, 3), lr=lr, step=step, generator=seeded(), n_slots=n
    )
    rows, columns = (part.double().abs().unflatten(0, (n_samples, n)) for part in (pulses.rows, pulses.columns))
    steps = torch.einsum("bki,bkj->bij", rows, columns)
    p, q = math.sqrt(lr / (step * n)) * X[0].abs(), math.sqrt(lr / (step * n)) * D[0].abs()
    # both pulses of the columns are independent given the row's: E[abc] - E[ab]E[ac] = p q q' (1 - p)
    expected = n * p[0] * q[0] * q[1] * (1.0 - p[0])
    found = torch.cov(steps[:, 0, :2].mT)[0, 1]
    # five standard errors of a covariance whose correlation is below one half
    allowed = 5.0 * math.sqrt(1.5 * float(steps[:, 0, 0].var() * steps[:, 0, 1].var()) / n_samples)
    assert abs(found - expected) < allowed < 0.2 * expected


@pytest.mark.parametrize("order", ORDERS)
def test_the_mean_update_is_gradient_descent(order: str) -> None:
    n_draws, lr = 4000, 0.05
    cells = draw_cells(ideal(), 4, 3, seeded(), dtype=torch.float64)
    w = torch.zeros(4, 3, dtype=torch.float64)
    generator = seeded(3)
    total = torch.zeros_like(w)
    for _ in range(n_draws if order == "frozen" else n_draws // 4):
        total += pulsed_update(w, X, D, cells, lr=lr, generator=generator, order=order)  # type: ignore[arg-type]
    n_draws = n_draws if order == "frozen" else n_draws // 4
    expected = -lr * X.mT @ D
    std = (expected.abs() * cells.response.step).sqrt()  # of a Poisson number of steps, above the binomial's
    assert ((total / n_draws - expected).abs() <= 5.0 * std / math.sqrt(n_draws)).all()


def test_noise_of_many_pulses_adds_in_quadrature() -> None:
    n_pulses, n_cells = 30, 60_000
    every = torch.ones(n_pulses, 1, dtype=torch.int8)
    pulses = Pulses(every.expand(n_pulses, n_cells // 100), every.expand(n_pulses, 100), torch.tensor(0))
    for order in ORDERS:
        for reference, factor in (("present", 1.0 - 0.4 * 0.3), ("nominal", 1.0)):
            response = ideal(LinearStep(0.4, 0.4), step=1e-4, cycle_std=0.5, cycle_reference=reference)
            cells = draw_cells(response, n_cells // 100, 100, seeded(), dtype=torch.float64)
            w = torch.full((n_cells // 100, 100), 0.3, dtype=torch.float64)
            change = apply_pulses(w, pulses, cells, generator=seeded(1), order=order) - w  # type: ignore[arg-type]
            mean, std = n_pulses * 1e-4 * (1.0 - 0.4 * 0.3), factor * 0.5 * 1e-4 * math.sqrt(n_pulses)
            # the weight moves by 1 % of the range meanwhile, the step by 0.2 % of itself; then five standard errors
            assert change.mean().item() == pytest.approx(mean, rel=2e-3 + 5.0 * std / mean / math.sqrt(n_cells))
            assert change.std().item() == pytest.approx(std, rel=2e-3 + 5.0 / math.sqrt(2 * n_cells))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize(("n_slots", "n_rows", "n_cols", "chance"), [(80, 6, 5, 0.4), (20, 40, 50, 0.05)], ids=str)
def test_sequential_pulses_are_those_of_a_loop_over_cells(
    law: object, n_slots: int, n_rows: int, n_cols: int, chance: float
) -> None:
    cells = draw_cells(replace(spread(law), step=0.1), n_rows, n_cols, seeded(), dtype=torch.float64)
    w = 0.2 * torch.randn(n_rows, n_cols, generator=seeded(4), dtype=torch.float64)
    pulses = streams(n_slots, n_rows, n_cols, chance)
    n_steps = sum(coincidences(pulses))
    assert (n_steps > 1).any(), "the test should step a cell again"
    found = apply_pulses(w, pulses, cells, generator=seeded(), order="sequential")
    np.testing.assert_allclose(found.numpy(), one_pulse_after_another(w, pulses, cells), rtol=1e-12, atol=1e-14)


def test_the_order_of_constant_steps_does_not_matter() -> None:
    cells = draw_cells(replace(spread(ConstantStep()), step=1e-3), 6, 5, seeded(), dtype=torch.float64)
    w = 0.2 * torch.randn(6, 5, generator=seeded(4), dtype=torch.float64)
    frozen, sequential = (apply_pulses(w, streams(80, 6, 5), cells, generator=seeded(), order=o) for o in ORDERS)  # type: ignore[arg-type]
    torch.testing.assert_close(frozen, sequential, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("law", LAWS[1:], ids=lambda law: type(law).__name__)
def test_freezing_a_batch_is_right_to_first_order(law: object) -> None:
    gaps = []
    for step in (2e-3, 1e-3, 5e-4):
        cells = draw_cells(replace(spread(law), step=step), 6, 5, seeded(), dtype=torch.float64)
        w = 0.2 * torch.randn(6, 5, generator=seeded(4), dtype=torch.float64)
        frozen, sequential = (apply_pulses(w, streams(80, 6, 5), cells, generator=seeded(), order=o) for o in ORDERS)  # type: ignore[arg-type]
        gaps.append(float((frozen - sequential).norm()))
        assert gaps[-1] < 0.05 * float((sequential - w).norm())
    # a quarter for half the step, and third order beside it
    assert gaps[0] / gaps[1] == pytest.approx(4.0, rel=0.1)
    assert gaps[1] / gaps[2] == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize("name", sorted(PULSE_PRESETS))
@pytest.mark.parametrize("order", ORDERS)
def test_bounds_are_kept(name: str, order: str) -> None:
    response = pulse_preset(name)
    cells = draw_cells(response, 8, 7, seeded())
    w, generator = torch.zeros(8, 7), seeded(1)
    x, d = torch.randn(40, 8, generator=generator), torch.randn(1, 7, generator=generator).expand(40, 7)
    for _ in range(4):
        w = pulsed_update(w, x.abs(), d, cells, lr=20.0 * response.step, generator=generator, order=order)  # type: ignore[arg-type]
        assert ((w >= cells.low) & (w <= cells.high)).all()
    hard = not isinstance(response.law, SoftBounds) or response.cycle_std > 1.0
    if hard and response.step > 1e-3:
        assert ((w == cells.low) | (w == cells.high)).any(), "the test should reach a bound"


@pytest.mark.parametrize("law", [LinearStep(0.4, 0.7), SoftBounds(), EXPONENTIAL], ids=lambda law: type(law).__name__)
def test_asymmetry_drives_a_weight_to_its_symmetry_point(law: object) -> None:
    # every slot pulses every cell, up and down in turn: the shortest way there
    n_pairs = 400
    sign = torch.tensor([1, -1], dtype=torch.int8).repeat(n_pairs).unsqueeze(-1)
    pulses = Pulses(sign.expand(-1, 4), torch.ones(2 * n_pairs, 5, dtype=torch.int8), torch.tensor(0))
    response = ideal(law, asymmetry=0.2, step_spread=0.1, asymmetry_spread=0.02, low_spread=0.1, high_spread=0.1)
    cells = draw_cells(response, 4, 5, seeded(), dtype=torch.float64)
    goal = symmetry_point(cells)
    assert (goal < cells.high).all() and (goal > cells.low).all()
    assert (goal.abs() > 0.05).any(), "the test should move the point away from zero"
    for start in (-0.4, 0.4):
        w = torch.full((4, 5), start, dtype=torch.float64)
        for _ in range(6):
            w = apply_pulses(w, pulses, cells, generator=seeded(), order="sequential")
        # a pair of steps ends half a step beside the point that it circles
        assert (w - goal).abs().max() < 0.02
        assert (w - start).abs().min() > 0.0


def test_stronger_up_steps_drift_upwards_without_a_gradient() -> None:
    # zero-mean errors: an array of symmetric cells stays, an asymmetric one walks to its bound
    generator = seeded(5)
    finals = []
    for asymmetry in (0.0, 0.3):
        cells = draw_cells(ideal(asymmetry=asymmetry), 20, 20, seeded())
        w = torch.zeros(20, 20)
        for _ in range(100):
            x, d = torch.ones(8, 20), torch.randn(8, 20, generator=generator)
            w = pulsed_update(w, x, d, cells, lr=0.02, generator=generator)
        finals.append(w.mean().item())
    # 800 samples of some 1.6 steps; without asymmetry a walk of std sqrt(1300) 0.01 for each of 20 columns
    assert abs(finals[0]) < 5.0 * 0.36 / math.sqrt(20)
    assert finals[1] > 0.8


def test_symmetry_points_of_soft_and_of_hard_bounds() -> None:
    soft = draw_cells(spread(SoftBounds()), 10, 10, seeded(), dtype=torch.float64)
    expected = (soft.step_up - soft.step_down) / (soft.step_up / soft.high - soft.step_down / soft.low)
    torch.testing.assert_close(symmetry_point(soft), expected, rtol=0.0, atol=1e-12)
    hard = draw_cells(ideal(asymmetry=0.2, high_spread=0.2), 3, 3, seeded(), dtype=torch.float64)
    torch.testing.assert_close(symmetry_point(hard), hard.high)
    even = draw_cells(ideal(low=-0.5), 3, 3, seeded(), dtype=torch.float64)
    torch.testing.assert_close(symmetry_point(even), torch.full((3, 3), 0.25, dtype=torch.float64))


@pytest.mark.parametrize("name", sorted(PULSE_PRESETS))
@pytest.mark.parametrize("order", ORDERS)
def test_nothing_asked_for_changes_nothing(name: str, order: str) -> None:
    cells = draw_cells(pulse_preset(name), 4, 3, seeded())
    w = torch.zeros(4, 3)
    w[0] = 0.5 * cells.high[0]
    x, d = X.float(), D.float()
    for x_sent, d_sent, lr in ((x, 0.0 * d, 1.0), (0.0 * x, d, 1.0), (x, d, 0.0), (x[:0], d[:0], 1.0)):
        for management in (balanced_pulses, fixed_pulses):
            pulses = management(x_sent, d_sent, lr=lr, step=cells.response.step, generator=seeded())
            after = apply_pulses(w, pulses, cells, generator=seeded(), order=order)  # type: ignore[arg-type]
            assert torch.equal(after, w)
    after = pulsed_update(w, x, d, cells, lr=1.0, generator=seeded(), order=order)  # type: ignore[arg-type]
    assert torch.equal(after[3], w[3]), "the last row has no input"
    assert not torch.equal(after, w)


@pytest.mark.parametrize("order", ORDERS)
def test_the_seed_decides(order: str) -> None:
    cells = draw_cells(pulse_preset("gokmen-vlasov-2016"), 30, 20, seeded())
    again = draw_cells(pulse_preset("gokmen-vlasov-2016"), 30, 20, seeded())
    assert all(map(torch.equal, cells.tensors(), again.tensors()))
    w = torch.zeros(30, 20)
    x, d = torch.randn(5, 30, generator=seeded(1)), torch.randn(5, 20, generator=seeded(2))

    def after(seed: int) -> Tensor:
        return pulsed_update(w, x, d, cells, lr=0.01, generator=seeded(seed), order=order)  # type: ignore[arg-type]

    assert torch.equal(after(7), after(7))
    assert not torch.equal(after(7), after(8))
    assert (w == 0.0).all(), "weights are values"


def test_streams_are_as_long_as_each_sample_needs() -> None:
    x = torch.tensor([[1.0, 0.5], [0.2, 0.1], [0.0, 0.0], [10.0, 1.0]])
    d = torch.tensor([[0.025], [0.02], [1.0], [1.0]])
    # steps of the strongest cell: 2.5, 0.4, 0 and 1 000, the last cut at 31 slots
    pulses = balanced_pulses(x, d, lr=1.0, step=0.01, generator=seeded())
    assert len(pulses.rows) == 3 + 1 + 0 + 31
    # the column and the first row of the last sample, at sqrt(1000/31) = 5.7, not the second row, at 0.57
    assert pulses.n_saturated == 2
    assert (pulses.columns[-31:] == -1).all()


def test_what_is_cut_is_counted() -> None:
    pulses = fixed_pulses(torch.tensor([[1.0, 0.1]]), torch.tensor([[1.0]]), lr=1.0, step=0.01, generator=seeded())
    # C = sqrt(1/(10 0.01)) = 3.2
    assert pulses.n_saturated == 2
    assert coincidences(pulses)[1][0, 0] == 10


def test_cells_are_spread_as_the_response_says() -> None:
    response = PulseResponse(
        "wide", "no device", LinearStep(0.4, 0.7, 0.05, 0.1), step=0.01, low=-0.8, high=1.2, asymmetry=0.2,
        step_spread=0.1, asymmetry_spread=0.02, low_spread=0.05, high_spread=0.04,
    )  # fmt: skip
    n = 300
    cells = draw_cells(response, n, n, seeded(), dtype=torch.float64)
    moments = {
        "step_up": (0.01, 0.01 * math.hypot(0.1, 0.02)),
        "step_down": (0.008, 0.01 * math.hypot(0.1, 0.02)),
        "low": (-0.8, 0.04),
        "high": (1.2, 0.048),
        "bend_up": (0.4 / 1.2, 0.05 / 1.2),
        "bend_down": (0.7 / 0.8, 0.1 / 0.8),
    }
    for name, (mean, std) in moments.items():
        found = getattr(cells, name)
        # five standard errors
        assert found.mean().item() == pytest.approx(mean, abs=5.0 * std / n), name
        assert found.std().item() == pytest.approx(std, rel=5.0 / (math.sqrt(2.0) * n)), name
    skewed = draw_cells(replace(response, log_normal=True, asymmetry=0.0, asymmetry_spread=0.0), n, n, seeded())
    assert (skewed.step_up / 0.01).log().std().item() == pytest.approx(0.1, rel=5.0 / (math.sqrt(2.0) * n))
    other = draw_cells(replace(response, step_spread=0.0), n, n, seeded(), dtype=torch.float64)
    assert torch.equal(other.high, cells.high), "switching one spread off leaves the others' numbers"


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_the_step_that_pulses_count_on_is_that_at_zero(law: object) -> None:
    response = ideal(law, asymmetry=0.2, low=-0.8)
    cells = draw_cells(response, 1, 1, seeded(), dtype=torch.float64)
    zero = torch.zeros(1, 1, dtype=torch.float64)
    ends = [
        one_pulse_after_another(zero, Pulses(torch.ones(1, 1), torch.tensor([[sign]]), torch.tensor(0)), cells).item()
        for sign in (1, -1)
    ]
    assert response.mean_step == pytest.approx(0.5 * (ends[0] - ends[1]), rel=1e-12)


def test_an_array_learns_a_linear_map() -> None:
    generator = seeded(9)
    truth = 0.3 * torch.randn(10, 4, generator=generator)
    cells = draw_cells(pulse_preset("gokmen-vlasov-2016"), 10, 4, generator)
    truth = truth.clamp(0.8 * cells.low, 0.8 * cells.high)
    w = torch.zeros(10, 4)
    for _ in range(300):
        x = torch.randn(16, 10, generator=generator)
        w = pulsed_update(w, x, x @ w - x @ truth, cells, lr=0.01, generator=generator)
    # a step is 0.5 % of the weights' spread; the noise of pulses leaves a few per cent
    assert (w - truth).norm() < 0.1 * truth.norm()


def test_wrong_values_are_named() -> None:
    cells = draw_cells(ideal(), 4, 3, seeded(), dtype=torch.float64)
    w = torch.zeros(4, 3, dtype=torch.float64)
    with pytest.raises(SetpointError, match=r"weights have shape \(3, 4\), pulses are for \(4, 3\)"):
        pulsed_update(w.mT, X, D, cells, lr=0.1, generator=seeded())
    with pytest.raises(SetpointError, match="2 of 12 weights lie outside their cells' bounds"):
        outside = w.clone()
        outside[0, 0], outside[1, 1] = 1.01, math.nan
        pulsed_update(outside, X, D, cells, lr=0.1, generator=seeded())
    with pytest.raises(SetpointError, match=r"x has shape \(1, 4\) and d \(2, 3\)"):
        pulsed_update(w, X, D.expand(2, 3), cells, lr=0.1, generator=seeded())
    with pytest.raises(SetpointError, match="holds NaN or infinity"):
        pulsed_update(w, X, math.inf * D, cells, lr=0.1, generator=seeded())
    with pytest.raises(ValueError, match=r"learning rate is -0\.1"):
        pulsed_update(w, X, D, cells, lr=-0.1, generator=seeded())
    with pytest.raises(ValueError, match="0 slots long"):
        fixed_pulses(X, D, lr=0.1, step=0.01, generator=seeded(), n_slots=0)
    with pytest.raises(ValueError, match="expected a step above 0, bounds around 0"):
        ideal(low=0.1)
    with pytest.raises(ValueError, match="expected none below 0"):
        ideal(cycle_std=-0.1)
    with pytest.raises(ValueError, match="no pulse response is named 'memristor'; there are capacitor-li-2018"):
        pulse_preset("memristor")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_counts_are_the_same_on_a_gpu() -> None:
    pulses = streams(57, 6, 5)
    moved = Pulses(pulses.rows.cuda(), pulses.columns.cuda(), pulses.n_saturated)
    for found, expected in zip(coincidences(moved), coincidences(pulses), strict=True):
        assert torch.equal(found.cpu(), expected)
    cells = draw_cells(pulse_preset("gokmen-vlasov-2016"), 6, 5, seeded()).to("cuda")
    generator = torch.Generator("cuda").manual_seed(0)
    after = apply_pulses(torch.zeros(6, 5, device="cuda"), moved, cells, generator=generator)
    assert after.device.type == "cuda"
