"""The liquid-crystal panel against closed forms and an independent filter."""

import math

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from pnnlab.physics import PhaseModulator, intensity


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def order_powers(field: Tensor) -> Tensor:
    """Return the share of the light in each diffraction order of a panel that is lit evenly."""
    return intensity(torch.fft.fft2(field)) / field.numel() ** 2


def test_perfect_panel_turns_once_over_full_scale() -> None:
    s = uniform(8, 8)
    field = PhaseModulator((8, 8))(s)
    torch.testing.assert_close(field, torch.exp(2j * math.pi * s))


def test_response_deviates_between_the_ends_only() -> None:
    gain = uniform(4, 6, seed=1)
    panel = PhaseModulator((4, 6), stroke=1.1, response_rad=(0.3, -0.2), response_gain=gain)
    for end in (0.0, 1.0):
        s = torch.full((4, 6), end, dtype=torch.float64)
        torch.testing.assert_close(panel.phase(s), 2 * math.pi * 1.1 * s)
    quarter = torch.full((4, 6), 0.25, dtype=torch.float64)
    # sin(pi / 4) of the first term and sin(pi / 2) of the second.
    expected = 2 * math.pi * 1.1 * 0.25 + gain * (0.3 * math.sqrt(0.5) - 0.2)
    torch.testing.assert_close(panel.phase(quarter), expected)


def test_dead_pixels_ignore_drive_and_flatness() -> None:
    dead = torch.zeros(4, 4, dtype=torch.bool)
    dead[1, 2] = True
    flatness = uniform(4, 4, seed=2)
    panel = PhaseModulator((4, 4), flatness_rad=flatness, dead=dead, dead_phase_rad=0.7)
    s = uniform(3, 4, 4)
    phase = panel.phase(s)
    torch.testing.assert_close(phase[:, 1, 2], torch.full((3,), 0.7, dtype=torch.float64))
    torch.testing.assert_close(phase[:, ~dead], (2 * math.pi * s + flatness)[:, ~dead])


def test_dead_pixels_have_no_gradient() -> None:
    dead = torch.zeros(4, 4, dtype=torch.bool)
    dead[0, 0] = True
    s = uniform(4, 4).requires_grad_()
    PhaseModulator((4, 4), dead=dead).phase(s).sum().backward()
    assert s.grad is not None
    torch.testing.assert_close(s.grad, torch.where(dead, 0.0, 2 * math.pi).to(torch.float64))


@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.5])
def test_crosstalk_is_the_gaussian_filter_of_scipy(sigma: float) -> None:
    phase = 6 * uniform(2, 17, 24)
    panel = PhaseModulator((17, 24), crosstalk_px=sigma)
    # scipy's "reflect" mirrors at the pixel's edge; cut at the same whole number of pixels.
    reach = math.ceil(5 * sigma)
    filtered = [gaussian_filter(image.numpy(), sigma, mode="reflect", radius=reach) for image in phase]
    expected = torch.exp(1j * torch.stack([torch.from_numpy(image) for image in filtered]))
    torch.testing.assert_close(panel.field(phase), expected)


def test_crosstalk_leaves_a_flat_panel_alone() -> None:
    phase = torch.full((6, 6), 2.0)
    torch.testing.assert_close(PhaseModulator((6, 6), crosstalk_px=1.0).field(phase), torch.polar(phase * 0 + 1, phase))


def test_crosstalk_rounds_the_fly_back_of_a_grating() -> None:
    s = (torch.arange(32, dtype=torch.float64) % 4 / 4).expand(32, 32)
    sharp, blurred = (order_powers(PhaseModulator((32, 32), crosstalk_px=px)(s))[0, 8] for px in (0.0, 0.6))
    assert float(sharp) == pytest.approx(1.0, abs=1e-12)
    assert float(blurred) < 0.8


def test_binary_grating_splits_the_light_as_the_closed_form_says() -> None:
    depth = 0.3
    s = (depth * (torch.arange(16, dtype=torch.float64) % 2)).expand(16, 16)
    powers = order_powers(PhaseModulator((16, 16))(s))
    assert float(powers[0, 0]) == pytest.approx(math.cos(math.pi * depth) ** 2, abs=1e-12)
    assert float(powers[0, 8]) == pytest.approx(math.sin(math.pi * depth) ** 2, abs=1e-12)


def test_gaps_feed_the_zero_order() -> None:
    # A blazed grating sends all modulated light into one order; what is left in the zero order is the gaps'.
    s = (torch.arange(16, dtype=torch.float64) % 8 / 8).expand(16, 16)
    powers = order_powers(PhaseModulator((16, 16), unmodulated=0.1)(s))
    assert float(powers[0, 0]) == pytest.approx(0.1**2, abs=1e-12)
    assert float(powers[0, 2]) == pytest.approx(0.9**2, abs=1e-12)


def test_illumination_shapes_the_amplitude() -> None:
    amplitude = uniform(5, 7)
    torch.testing.assert_close(PhaseModulator((5, 7), amplitude=amplitude)(uniform(5, 7, seed=3)).abs(), amplitude)


def test_forward_is_field_of_phase() -> None:
    panel = PhaseModulator((8, 8), response_rad=(0.2,), crosstalk_px=0.5, unmodulated=0.05)
    s = uniform(2, 3, 8, 8)
    assert torch.equal(panel(s), panel.field(panel.phase(s)))
    torch.testing.assert_close(panel(s)[1, 2], panel(s[1, 2]))


def test_gradients_of_every_quantity() -> None:
    maps = {name: uniform(4, 5, seed=i) for i, name in enumerate(("response_gain", "flatness_rad", "amplitude"))}
    inputs = {
        "stroke": torch.tensor(1.05, dtype=torch.float64),
        "response_rad": torch.tensor([0.2, -0.1, 0.05], dtype=torch.float64),
        "dead_phase_rad": torch.tensor(0.3, dtype=torch.float64),
        # Not at a step of the kernel's reach, which would spoil the difference quotient.
        "crosstalk_px": torch.tensor(0.55, dtype=torch.float64),
        "unmodulated": torch.tensor(0.1, dtype=torch.float64),
        **maps,
    }
    dead = uniform(4, 5, seed=9) < 0.2
    assert bool(dead.any())

    def panel_field(s: Tensor, *values: Tensor) -> Tensor:
        quantities = dict(zip(inputs, values, strict=True))
        return torch.view_as_real(PhaseModulator((4, 5), dead=dead, **quantities)(s))

    leaves = [x.clone().requires_grad_() for x in (uniform(2, 4, 5), *inputs.values())]
    assert torch.autograd.gradcheck(panel_field, leaves)


def test_single_precision_agrees_with_double() -> None:
    panel = PhaseModulator(
        (32, 32), response_rad=(0.2, 0.1), flatness_rad=uniform(32, 32), crosstalk_px=0.7, unmodulated=0.03
    )
    s = uniform(32, 32, seed=1)
    single = panel(s.float())
    assert single.dtype is torch.complex64
    # Phases up to 10 rad in 24 bits.
    torch.testing.assert_close(single.to(torch.complex128), panel(s), rtol=0, atol=1e-5)


def test_crosstalk_is_learned_from_fields() -> None:
    s = uniform(4, 16, 16)
    seen = PhaseModulator((16, 16), crosstalk_px=0.8)(s)
    panel = PhaseModulator((16, 16), crosstalk_px=nn.Parameter(torch.tensor(0.5, dtype=torch.float64)))
    optimizer = torch.optim.Adam(panel.parameters(), lr=0.02)
    for _ in range(120):
        optimizer.zero_grad()
        intensity(panel(s) - seen).mean().backward()
        optimizer.step()
    assert float(panel.crosstalk_px.detach()) == pytest.approx(0.8, abs=0.01)


def test_changed_crosstalk_is_noticed() -> None:
    s, panel = uniform(8, 8), PhaseModulator((8, 8))
    before = panel(s)
    panel.load_state_dict(PhaseModulator((8, 8), crosstalk_px=0.7).state_dict())
    assert not torch.allclose(panel(s), before)
    torch.testing.assert_close(panel(s), PhaseModulator((8, 8), crosstalk_px=0.7)(s))


def test_changed_illumination_is_noticed() -> None:
    s, panel = uniform(8, 8), PhaseModulator((8, 8))
    before = panel(s)
    panel.amplitude.fill_(2.0)
    torch.testing.assert_close(panel(s), 2 * before)
    panel.amplitude.fill_(1.0)
    panel.unmodulated.fill_(0.25)
    torch.testing.assert_close(panel(s), 0.75 * before + 0.25)


def test_everything_stays_on_the_device_of_the_quantities() -> None:
    # Tensors without values stand for an accelerator's: they refuse to meet a tensor of the processor. The crosstalk
    # stays behind, because the reach of its kernel is a number of the host.
    maps = {name: nn.Parameter(torch.rand(6, 8)) for name in ("amplitude", "flatness_rad", "response_gain", "stroke")}
    panel = PhaseModulator((6, 8), response_rad=(0.2, 0.1), dead=torch.zeros(6, 8, dtype=torch.bool), **maps)
    panel = panel.to("meta")
    panel.crosstalk_px = torch.tensor(0.7)
    s = torch.zeros(3, 6, 8, device="meta", requires_grad=True)
    output = panel(s)
    intensity(output).sum().backward()
    assert {x.device.type for x in (output, s.grad, *(p.grad for p in panel.parameters()))} == {"meta"}


def test_parameters_train_and_numbers_do_not() -> None:
    panel = PhaseModulator((4, 4), stroke=nn.Parameter(torch.tensor(1.0)), flatness_rad=nn.Parameter(torch.zeros(4, 4)))
    assert {name for name, _ in panel.named_parameters()} == {"stroke", "flatness_rad"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flatness_rad": torch.zeros(3, 3)}, r"flatness_rad has shape \(3, 3\)"),
        ({"response_rad": 0.1}, r"response_rad has shape \(\), expected \(n_terms,\)"),
        ({"dead": torch.zeros(4, 4)}, "dead is torch.float32"),
        ({"crosstalk_px": -0.1}, "crosstalk_px is -0.1"),
        ({"crosstalk_px": nn.Parameter(torch.tensor(0.0))}, "above 0 when it is trained"),
        ({"crosstalk_px": 2.0}, "reaches past the mirrored edge"),
        ({"amplitude": math.inf}, "amplitude holds NaN or infinity"),
    ],
)
def test_impossible_panels_are_refused(options: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PhaseModulator((4, 4), **options)


def test_wrong_drive_is_refused() -> None:
    with pytest.raises(ValueError, match=r"drive has shape \(5, 4\), expected \(\.\.\., 4, 4\)"):
        PhaseModulator((4, 4))(torch.zeros(5, 4))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_accelerator_agrees_with_the_processor() -> None:
    panel, s = PhaseModulator((16, 16), response_rad=(0.2,), crosstalk_px=0.7), uniform(2, 16, 16)
    expected = panel(s)
    torch.testing.assert_close(panel.to("cuda")(s.to("cuda")).cpu(), expected)
