"""Time free-space propagation against a bare padded FFT product and torchoptics, and measure how right they are.

All run in this process, on one CPU thread, in turns, on the same field and the same padded grid; the best of
several repeats counts, because everything that disturbs a measurement makes it longer. torchoptics has no tilted
planes; beside a tilt that is learned it learns distance and offset only.

Run from the root of the repository: `PYTHONPATH=. python scripts/bench_propagation.py`.
"""

import argparse
import importlib.util
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pnnlab.physics import AngularSpectrum, intensity

Propagate = Callable[[Tensor], Tensor]
PITCH_M, WAVELENGTH_M, DISTANCE_M = 8e-6, 532e-9, 0.15
OFFSET_M, TILT_RAD = (0.1e-3, -0.05e-3), (0.0, 3e-3)
PADDING = 2
PLACES: dict[str, set[str]] = {
    "plane fixed": set(),
    "distance learned": {"distance_m"},
    "distance, offset learned": {"distance_m", "offset_m"},
    "distance, offset, tilt learned": {"distance_m", "offset_m", "tilt_rad"},
}


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    size, batch = arguments.size, arguments.batch
    field = blocks(size).to(torch.complex64).repeat(batch, 1, 1)
    peers = importlib.util.find_spec("torchoptics") is not None
    rows: dict[str, dict[str, Propagate]] = {}
    for place, learned in PLACES.items():
        ours = space(size, learned)
        rows[place] = {"pnnlab": ours}
        if not learned:
            rows[place]["bare FFT product"] = bare_product(ours)
        if peers:
            rows[place]["torchoptics ASM"] = torchoptics_propagation(ours, learned)

    times = {(place, name): [math.inf, math.inf] for place, runners in rows.items() for name in runners}
    for repeat in range(arguments.repeats + 1):
        for (place, name), best in times.items():
            found = seconds(rows[place][name], field)
            if repeat:  # the first warms up
                best[:] = [min(*pair) for pair in zip(best, found, strict=True)]

    padded = PADDING * size
    print(f"torch {torch.__version__}, 1 thread, {batch} x {size} x {size} padded to {padded} x {padded}, complex64")
    print(f"{'':50s}{'forward':>10s}{'ratio':>7s}{'both':>10s}{'ratio':>7s}  {'error':>8s}  type out")
    for place, runners in rows.items():
        base = times[place, "pnnlab"]
        for name, propagate in runners.items():
            columns = [f"{t * 1e3:7.0f} ms{t / s:7.2f}" for t, s in zip(times[place, name], base, strict=True)]
            with torch.no_grad():
                single = propagate(field[:1])[0]
            error = f"{intensity_error(single, blocks(size), PLACES[place]):8.1e}" if peers else ""
            print(f"{place:32s}{name:18s}{''.join(columns)}  {error}  {single.dtype}")
    print(
        "ratio: of the row's time to pnnlab's above; both: forward and backward, to the field and to what is learned;"
    )
    print("error: of the intensity, relative, against torchoptics' direct integration in complex128")


def blocks(size: int) -> Tensor:
    """Return random phase blocks of 1/16 of the window under a Gaussian beam, shape `(size, size)`."""
    axis = (torch.arange(size, dtype=torch.float64) - (size - 1) / 2) / size
    phase = math.tau * torch.rand(16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    phase = torch.nn.functional.interpolate(phase[None, None], size=(size, size), mode="nearest")[0, 0]
    return torch.polar(torch.exp(-(axis[:, None] ** 2 + axis**2) / 0.2**2), phase)


def space(size: int, learned: set[str]) -> AngularSpectrum:
    """Return our propagation, with these of its quantities learned and those not learned at rest."""
    values = {"distance_m": DISTANCE_M, "offset_m": OFFSET_M, "tilt_rad": TILT_RAD}
    quantities = {name: nn.Parameter(torch.tensor(values[name], dtype=torch.float64)) for name in sorted(learned)}
    return AngularSpectrum(
        (size, size),
        pitch_m=PITCH_M,
        wavelength_m=WAVELENGTH_M,
        padding=PADDING,
        distance_m=quantities.get("distance_m", DISTANCE_M),
        offset_m=quantities.get("offset_m", (0.0, 0.0)),
        tilt_rad=quantities.get("tilt_rad", (0.0, 0.0)),
    )


def bare_product(ours: AngularSpectrum) -> Propagate:
    """Return the plainest padded propagation: pad, transform, multiply, transform back, crop."""
    h, w = ours.shape
    n_y, n_x = ours.padded_shape
    transfer = ours.transfer_function(torch.complex64).contiguous()

    def propagate(field: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(field, (0, n_x - w, 0, n_y - h))
        product: Tensor = torch.fft.ifft2(torch.fft.fft2(padded) * transfer)
        return product[..., :h, :w]

    return propagate


def torchoptics_propagation(ours: AngularSpectrum, learned: set[str]) -> Propagate:
    """Return torchoptics' angular spectrum on the padded grid of ours, learning what it can of what ours learns."""
    from torchoptics import Field, PlanarGrid

    pad = tuple((n - m) // 2 for n, m in zip(ours.padded_shape, ours.shape, strict=True))
    distance_m, offset_m = (
        x.detach().clone().requires_grad_(x.requires_grad) for x in (ours.distance_m, ours.offset_m)
    )

    def propagate(field: Tensor) -> Tensor:
        start = Field(field, wavelength=WAVELENGTH_M, z=0, spacing=PITCH_M)
        plane = PlanarGrid(ours.shape, distance_m, spacing=PITCH_M, offset=offset_m)
        # Its angular spectrum moves the window by interpolation only; the nearest pixel has no gradient.
        kind = "bilinear" if "offset_m" in learned else "nearest"
        result = start.propagate_to_plane(plane, propagation_method="ASM", asm_pad=pad, interpolation_mode=kind)
        data: Tensor = result.data
        return data

    return propagate


def intensity_error(found: Tensor, field: Tensor, learned: set[str]) -> float:
    """Return the relative error of the intensity on eight columns of the output window."""
    from torchoptics import Field, PlanarGrid

    size = field.shape[-1]
    start = Field(field, wavelength=WAVELENGTH_M, z=0, spacing=PITCH_M)
    offset_y, offset_x = OFFSET_M if "offset_m" in learned else (0.0, 0.0)
    columns = [size * (2 * k + 1) // 16 for k in range(8)]
    expected = []
    for column in columns:
        # Their planes stand upright: each column of a tilted one is a window at its own distance.
        x = (column - (size - 1) / 2) * PITCH_M
        distance_m = DISTANCE_M + (TILT_RAD[1] * x if "tilt_rad" in learned else 0.0)
        plane = PlanarGrid((size, 1), distance_m, spacing=PITCH_M, offset=(offset_y, offset_x + x))
        expected.append(intensity(start.propagate_to_plane(plane, propagation_method="DIM").data[:, 0]))
    reference = torch.stack(expected, -1)
    return float((intensity(found[:, columns]).double() - reference).norm() / reference.norm())


def seconds(propagate: Propagate, field: Tensor) -> tuple[float, float]:
    """Return the time of a forward pass without a graph, and of a forward and backward pass."""
    with torch.no_grad():
        start = time.perf_counter()
        propagate(field)
        forward = time.perf_counter() - start
    leaf = field.clone().requires_grad_()
    start = time.perf_counter()
    output = propagate(leaf)
    torch.autograd.backward(output, torch.ones_like(output))
    return forward, time.perf_counter() - start


if __name__ == "__main__":
    main()
