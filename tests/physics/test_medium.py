"""Scattering media against the statistics of speckle and random matrices."""

import math

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor, nn

from pnnlab.physics import AngularSpectrum, PhaseScreens, TransmissionMatrix, intensity

PITCH_M, WAVELENGTH_M = 8e-6, 532e-9


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_phases(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    phase = 2 * math.pi * torch.rand(shape, generator=seeded(seed), dtype=dtype)
    return torch.polar(torch.ones_like(phase), phase)


def screens(
    generator: torch.Generator, n: int = 64, count: int = 2, rms: float = 1.5, **options: object
) -> PhaseScreens:
    geometry = {"pitch_m": PITCH_M, "wavelength_m": WAVELENGTH_M, "distances_m": [2e-3] * (count + 1)}
    return PhaseScreens.random(
        (n, n), rms_phase_rad=rms, correlation_m=40e-6, generator=generator, dtype=torch.float64, **(geometry | options)
    )


def correlation(a: Tensor, b: Tensor) -> float:
    return float(((a.conj() * b).sum() / (a.norm() * b.norm())).abs())


class TestTransmissionMatrix:
    def test_speckle_is_fully_developed(self) -> None:
        medium = TransmissionMatrix.random((16, 16), (64, 64), generator=seeded(), dtype=torch.complex128)
        speckle = intensity(medium(random_phases(16, 16)))
        # 4096 independent modes: the mean has a standard error of 1/64, the contrast about the same.
        assert float(speckle.mean()) == pytest.approx(1.0, abs=0.06)
        assert float(speckle.std() / speckle.mean()) == pytest.approx(1.0, abs=0.06)
        # Rayleigh statistics: the intensity is distributed exponentially (Goodman, Statistical Optics).
        assert kstest(speckle.flatten().numpy(), "expon", args=(0.0, float(speckle.mean()))).pvalue > 0.01

    def test_singular_values_follow_marchenko_and_pastur(self) -> None:
        medium = TransmissionMatrix.random((16, 16), (32, 32), generator=seeded(), dtype=torch.complex128)
        values = torch.linalg.svdvals(medium.matrix)
        # n_out / n_in = 4, variance 1 / n_in: the law has edges 2 - 1 and 2 + 1 and a mean square of 4. Edges
        # fluctuate by n^(-2/3) = 0.025 or so.
        assert float(values.min()) == pytest.approx(1.0, abs=0.06)
        assert float(values.max()) == pytest.approx(3.0, abs=0.06)
        assert float(values.square().mean()) == pytest.approx(4.0, abs=0.05)

    def test_output_is_the_matrix_times_the_mean_fields(self) -> None:
        medium = TransmissionMatrix.random((2, 3), (4, 5), generator=seeded(), dtype=torch.complex128)
        field = random_phases(7, 8, 6)
        means = torch.stack([block.mean((-2, -1)) for row in field.split(4, -2) for block in row.split(2, -1)], -1)
        expected = torch.einsum("oi,bi->bo", medium.matrix, means).reshape(7, 4, 5)
        torch.testing.assert_close(medium(field), expected)
        torch.testing.assert_close(medium(field[3]), expected[3])

    def test_is_linear(self) -> None:
        medium = TransmissionMatrix.random((4, 4), (3, 3), generator=seeded(), dtype=torch.complex128)
        a, b = random_phases(8, 8, seed=1), random_phases(8, 8, seed=2)
        torch.testing.assert_close(medium(2j * a - b), 2j * medium(a) - medium(b))

    @pytest.mark.parametrize("strength", [0.0, 0.3, 0.8, 1.0])
    def test_perturbation_decorrelates_and_keeps_the_power(self, strength: float) -> None:
        medium = TransmissionMatrix.random((16, 16), (64, 64), generator=seeded(), dtype=torch.complex128)
        other = medium.perturbed(strength, seeded(1))
        # 2^20 independent elements: standard errors of 1e-3.
        assert correlation(medium.matrix, other.matrix) == pytest.approx(math.sqrt(1 - strength**2), abs=5e-3)
        assert float(other.matrix.norm() / medium.matrix.norm()) == pytest.approx(1.0, abs=5e-3)

    def test_small_steps_add_up(self) -> None:
        medium = other = TransmissionMatrix.random((16, 16), (16, 16), generator=seeded(), dtype=torch.complex128)
        generator = seeded(1)
        for _ in range(20):
            other = other.perturbed(0.1, generator)
        # 2^16 elements: a standard error of 4e-3.
        assert correlation(medium.matrix, other.matrix) == pytest.approx(0.99**10, abs=0.02)

    def test_same_seed_same_medium(self) -> None:
        first, second = (TransmissionMatrix.random((4, 4), (4, 4), generator=seeded(5)) for _ in range(2))
        assert torch.equal(first.matrix, second.matrix)

    def test_type_of_the_field_wins(self) -> None:
        medium = TransmissionMatrix.random((8, 8), (8, 8), generator=seeded(), dtype=torch.complex128)
        field = random_phases(8, 8)
        single = medium(field.to(torch.complex64))
        assert single.dtype is torch.complex64
        # Sums of 64 products in 24 bits.
        torch.testing.assert_close(single.to(torch.complex128), medium(field), rtol=0, atol=1e-5)

    def test_gradients(self) -> None:
        matrix = random_phases(6, 4).requires_grad_()
        field = random_phases(2, 4, 4, seed=1).requires_grad_()

        def speckle(matrix: Tensor, field: Tensor) -> Tensor:
            return intensity(TransmissionMatrix(matrix, in_shape=(2, 2), out_shape=(3, 2))(field))

        assert torch.autograd.gradcheck(speckle, (matrix, field))

    def test_matrix_is_learned_from_fields(self) -> None:
        medium = TransmissionMatrix.random((2, 2), (3, 3), generator=seeded(), dtype=torch.complex128)
        guess = TransmissionMatrix.random((2, 2), (3, 3), generator=seeded(1), dtype=torch.complex128)
        twin = TransmissionMatrix(nn.Parameter(guess.matrix), in_shape=(2, 2), out_shape=(3, 3))
        assert [name for name, _ in twin.named_parameters()] == ["matrix"]
        field = random_phases(32, 2, 2)
        optimizer = torch.optim.Adam(twin.parameters(), lr=0.05)
        for _ in range(300):
            optimizer.zero_grad()
            intensity(twin(field) - medium(field)).mean().backward()
            optimizer.step()
        torch.testing.assert_close(twin.matrix.detach(), medium.matrix, rtol=0, atol=1e-3)

    def test_impossible_media_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"expected a complex one of shape \(9, 4\)"):
            TransmissionMatrix(torch.zeros(9, 5, dtype=torch.complex64), in_shape=(2, 2), out_shape=(3, 3))
        medium = TransmissionMatrix.random((4, 4), (3, 3), generator=seeded())
        with pytest.raises(ValueError, match=r"multiple of the input modes, \(4, 4\)"):
            medium(torch.zeros(8, 6, dtype=torch.complex64))
        with pytest.raises(ValueError, match=r"perturbation strength is 1\.5"):
            medium.perturbed(1.5, seeded())


class TestPhaseScreens:
    def test_screens_have_the_asked_statistics(self) -> None:
        phase = screens(seeded(), n=256, count=8).screens_rad
        # 8 screens of (2048 / 40)^2 / 2 or so independent patches each: about 1 % of the standard deviation.
        assert float(phase.std()) == pytest.approx(1.5, rel=0.03)
        for lag_px, expected in ((5, math.exp(-1.0)), (2, math.exp(-0.16)), (15, math.exp(-9.0))):
            for dim in (-2, -1):
                found = float((phase * phase.roll(lag_px, dim)).mean() / phase.square().mean())
                assert found == pytest.approx(expected, abs=0.03)

    def test_flat_screens_are_free_space(self) -> None:
        field = torch.polar(torch.ones(64, 64, dtype=torch.float64), torch.zeros(64, 64, dtype=torch.float64))
        y = torch.arange(64, dtype=torch.float64) - 31.5
        field = field * torch.exp(-(y[:, None] ** 2 + y**2) / 10.0**2)
        medium = PhaseScreens(
            torch.zeros(2, 64, 64), pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, distances_m=(1e-3, 2e-3, 3e-3)
        )
        whole = AngularSpectrum((64, 64), pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, distance_m=6e-3)
        # The beam has faded to 1e-4 at the edge of the window that each step cuts out.
        torch.testing.assert_close(medium(field), whole(field), rtol=0, atol=1e-4)

    def test_each_screen_acts_after_its_space(self) -> None:
        medium = screens(seeded(), distances_m=[1e-3, 2e-3, 3e-3])
        field = random_phases(64, 64)
        expected = field
        for i, distance_m in enumerate((1e-3, 2e-3, 3e-3)):
            step = AngularSpectrum((64, 64), pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, distance_m=distance_m)
            expected = step(expected)
            expected = expected * torch.exp(1j * medium.screens_rad[i]) if i < 2 else expected
        torch.testing.assert_close(medium(field), expected)

    def test_strong_screens_make_speckle_of_contrast_one(self) -> None:
        # Many patches, phases far beyond 2 pi, and a plane far enough that many of them add up at each point.
        medium = screens(seeded(), n=256, count=2, rms=6.0, distances_m=[0.0, 20e-3, 40e-3])
        speckle = intensity(medium(torch.ones(256, 256, dtype=torch.complex128)))[64:-64, 64:-64]
        # 128 pixels across, grains of a pixel or two: some 10^4 of them, 1 % found for several seeds.
        assert float(speckle.std() / speckle.mean()) == pytest.approx(1.0, abs=0.05)

    @pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
    def test_perturbation_keeps_the_statistics(self, strength: float) -> None:
        medium = screens(seeded(), n=256, count=4)
        other = medium.perturbed(strength, seeded(1))
        before, after = medium.screens_rad, other.screens_rad
        assert correlation(before, after) == pytest.approx(math.sqrt(1 - strength**2), abs=0.04)
        assert float(after.std()) == pytest.approx(float(before.std()), rel=0.04)
        lagged = [float((phase * phase.roll(5, -1)).mean() / phase.square().mean()) for phase in (before, after)]
        assert lagged[1] == pytest.approx(lagged[0], abs=0.03)

    def test_perturbation_is_seen_in_the_speckle(self) -> None:
        medium, field = screens(seeded()), random_phases(64, 64)
        overlaps = [correlation(medium(field), medium.perturbed(s, seeded(1))(field)) for s in (0.0, 0.1, 0.5, 1.0)]
        assert overlaps[0] == pytest.approx(1.0)
        assert overlaps == sorted(overlaps, reverse=True)

    def test_moved_medium_is_a_rolled_one(self) -> None:
        medium = screens(seeded())
        moved = medium.shifted((3 * PITCH_M, -5 * PITCH_M)).screens_rad
        torch.testing.assert_close(moved, medium.screens_rad.roll((3, -5), (-2, -1)))
        # Half a pixel twice is one pixel; the screens are smooth, so nothing lies at the highest frequency.
        twice = medium.shifted((PITCH_M / 2, 0.0)).shifted((PITCH_M / 2, 0.0)).screens_rad
        torch.testing.assert_close(twice, medium.screens_rad.roll(1, -2), rtol=0, atol=1e-9)

    def test_gradients(self) -> None:
        generator = seeded()
        phase = torch.rand(2, 8, 8, generator=generator, dtype=torch.float64).requires_grad_()
        changes = torch.zeros(3, dtype=torch.float64, requires_grad=True)
        field = random_phases(8, 8).requires_grad_()

        def speckle(phase: Tensor, changes: Tensor, field: Tensor) -> Tensor:
            # In steps of 0.1 mm, which the difference quotient can resolve.
            distances_m = 5e-4 + 1e-4 * changes
            medium = PhaseScreens(
                phase, pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, distances_m=list(distances_m), padding=4
            )
            return intensity(medium(field))

        assert torch.autograd.gradcheck(speckle, (phase, changes, field), fast_mode=True)

    def test_screens_are_trained_when_parameters(self) -> None:
        medium = PhaseScreens(
            nn.Parameter(torch.zeros(1, 16, 16)),
            pitch_m=PITCH_M,
            wavelength_m=WAVELENGTH_M,
            distances_m=[nn.Parameter(torch.tensor(5e-4)), 5e-4],
        )
        intensity(medium(random_phases(16, 16, dtype=torch.float32)))[8, 8].backward()
        assert {name for name, _ in medium.named_parameters()} == {"screens_rad", "spaces.0.distance_m"}
        assert all(p.grad is not None and bool(p.grad.any()) for p in medium.parameters())

    def test_changed_screens_are_noticed(self) -> None:
        medium, field = screens(seeded()), random_phases(64, 64)
        before = medium(field)
        medium.screens_rad.neg_()
        after = medium(field)
        assert correlation(before, after) < 0.9
        medium.screens_rad.neg_()
        torch.testing.assert_close(medium(field), before)

    def test_single_precision_agrees_with_double(self) -> None:
        medium, field = screens(seeded()), random_phases(64, 64)
        single = medium(field.to(torch.complex64))
        assert single.dtype is torch.complex64
        # Six transforms in 24 bits, fields of order one.
        torch.testing.assert_close(single.to(torch.complex128), medium(field), rtol=0, atol=1e-5)

    def test_impossible_media_are_refused(self) -> None:
        with pytest.raises(ValueError, match="2 distances, expected"):
            PhaseScreens(torch.zeros(2, 8, 8), pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, distances_m=[1e-3, 1e-3])
        with pytest.raises(ValueError, match="strength is -1"):
            screens(seeded()).perturbed(-1.0, seeded())


def test_everything_stays_on_the_device_of_the_quantities() -> None:
    # Tensors without values stand for an accelerator's: they refuse to meet a tensor of the processor.
    trained = {name: nn.Parameter(torch.tensor(1e-3).double()) for name in ("first", "last")}
    thin = PhaseScreens(
        nn.Parameter(torch.zeros(1, 16, 16)),
        pitch_m=PITCH_M,
        wavelength_m=WAVELENGTH_M,
        distances_m=list(trained.values()),
        padding=3,
    )
    for space in thin.spaces:
        # Trained quantities are never looked at to see whether they act.
        space.offset_m, space.tilt_rad = (nn.Parameter(torch.zeros(2).double()) for _ in range(2))
    matrix = TransmissionMatrix.random((4, 4), (3, 3), generator=seeded())
    for medium in (thin, TransmissionMatrix(nn.Parameter(matrix.matrix), in_shape=(4, 4), out_shape=(3, 3))):
        field = torch.zeros(2, 16, 16, dtype=torch.complex64, device="meta", requires_grad=True)
        output = medium.to("meta")(field)
        intensity(output).sum().backward()
        assert {x.device.type for x in (output, field.grad, *(p.grad for p in medium.parameters()))} == {"meta"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_accelerator_agrees_with_the_processor() -> None:
    field = random_phases(64, 64)
    for medium in (
        TransmissionMatrix.random((8, 8), (4, 4), generator=seeded(), dtype=torch.complex128),
        screens(seeded()),
    ):
        expected = medium(field)
        torch.testing.assert_close(medium.to("cuda")(field.to("cuda")).cpu(), expected)
