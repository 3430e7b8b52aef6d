"""Time free-space propagation against a bare padded FFT product and torchoptics.

All run in this process, on one CPU thread, in turns, on the same field and the same padded grid; the best of
several repeats counts, because everything that disturbs a measurement makes it longer.

    python scripts/bench_propagation.py --size 512 --batch 16
"""

import argparse
import importlib.util
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from pnnlab.physics import AngularSpectrum

Propagate = Callable[[Tensor], Tensor]
PITCH_M, WAVELENGTH_M, DISTANCE_M = 8e-6, 532e-9, 0.05


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="pixels a side")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    size, batch = arguments.size, arguments.batch
    field = torch.polar(
        torch.ones(batch, size, size),
        math.tau * torch.rand(batch, size, size, generator=torch.Generator().manual_seed(0)),
    )
    ours = AngularSpectrum((size, size), pitch_m=PITCH_M, wavelength_m=WAVELENGTH_M, distance_m=DISTANCE_M)
    trained = AngularSpectrum(
        (size, size),
        pitch_m=PITCH_M,
        wavelength_m=WAVELENGTH_M,
        distance_m=torch.nn.Parameter(torch.tensor(DISTANCE_M, dtype=torch.float64)),
    )
    rows: dict[str, Propagate] = {
        "bare padded FFT product": bare_product(ours),
        "pnnlab": ours,
        "pnnlab, distance trained": trained,
    }
    if importlib.util.find_spec("torchoptics") is not None:
        rows["torchoptics ASM"] = torchoptics_propagation(ours)

    forward = {name: float("inf") for name in rows}
    both = {name: float("inf") for name in rows}
    for propagate in rows.values():
        propagate(field)
    for _ in range(arguments.repeats):
        for name, propagate in rows.items():
            forward[name] = min(forward[name], forward_seconds(propagate, field))
            both[name] = min(both[name], both_seconds(propagate, field))

    print(f"torch {torch.__version__}, 1 thread, {batch} x {size} x {size} padded to {ours.padded_shape}, complex64")
    print(f"{'':28s}{'forward':>10s}{'ratio':>8s}{'fwd+bwd':>10s}{'ratio':>8s}   type out")
    for name, propagate in rows.items():
        print(
            f"{name:28s}{forward[name] * 1e3:7.0f} ms{forward[name] / forward['pnnlab']:8.2f}"
            f"{both[name] * 1e3:7.0f} ms{both[name] / both['pnnlab']:8.2f}   {propagate(field[:1]).dtype}"
        )


def bare_product(ours: AngularSpectrum) -> Propagate:
    """Return the least that any zero-padded propagation does: pad, transform, multiply, transform back, crop."""
    h, w = ours.shape
    n_y, n_x = ours.padded_shape
    transfer = ours.transfer_function(torch.complex64).clone()

    def propagate(field: Tensor) -> Tensor:
        padded = torch.nn.functional.pad(field, (0, n_x - w, 0, n_y - h))
        product: Tensor = torch.fft.ifft2(torch.fft.fft2(padded) * transfer)
        return product[..., :h, :w]

    return propagate


def torchoptics_propagation(ours: AngularSpectrum) -> Propagate:
    """Return torchoptics' angular spectrum on the padded grid of ours."""
    from torchoptics import Field

    pad = tuple((n - m) // 2 for n, m in zip(ours.padded_shape, ours.shape, strict=True))

    def propagate(field: Tensor) -> Tensor:
        start = Field(field, wavelength=WAVELENGTH_M, z=0, spacing=PITCH_M)
        data: Tensor = start.propagate_to_z(DISTANCE_M, propagation_method="ASM", asm_pad=pad).data
        return data

    return propagate


def forward_seconds(propagate: Propagate, field: Tensor) -> float:
    """Return the time of one forward pass without a graph."""
    with torch.no_grad():
        start = time.perf_counter()
        propagate(field)
        return time.perf_counter() - start


def both_seconds(propagate: Propagate, field: Tensor) -> float:
    """Return the time of one forward and backward pass to the input field."""
    leaf = field.clone().requires_grad_()
    start = time.perf_counter()
    propagate(leaf).real.sum().backward()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
