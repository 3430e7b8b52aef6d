"""The pulsed update of a crossbar: an outer product written by coincidences of stochastic pulses.

Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016). Rows and columns carry streams of slots, each with or without a
pulse, with probabilities proportional to |x_i| and |d_j|. Where a row's pulse meets a column's, the cell takes one
step, in the direction of -x_i d_j. So every cell moves at once and no outer product is ever computed.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from pnnlab.errors import SetpointError
from pnnlab.physics._pulse_response import PulsedCells

__all__ = [
    "Pulses",
    "apply_pulses",
    "apply_steps",
    "balanced_pulses",
    "coincidences",
    "even_pulses",
    "fixed_pulses",
    "pulsed_update",
]

# Streams are drawn in parts of this many slots, so that their random numbers stay in the cache; another number
# would give another, equally good stream for the same seed.
_PART_SLOTS = 512
# Below this number of coincidences a cell, a list of them is faster than a matrix of counts (measured, 512x512).
_SPARSE = 1.0 / 16.0


@dataclass(frozen=True)
class Pulses:
    """The streams of one batch, sample after sample, as the drivers of rows and columns send them.

    Attributes:
        rows: -1, 0 or 1, shape `(n_slots, n_rows)`, `int8`: a pulse and its sign.
        columns: Likewise, shape `(n_slots, n_cols)`. A cell steps in the direction of the product of both.
        n_saturated: How many lines of how many samples, together, were asked for more than one pulse a slot, a
            number, shape `()`: these move their cells less than asked for.
    """

    rows: Tensor
    columns: Tensor
    n_saturated: Tensor


def fixed_pulses(
    x: Tensor, d: Tensor, *, lr: float, step: float, generator: torch.Generator, n_slots: int = 10
) -> Pulses:
    """Draw streams of one length, with one gain for rows and columns (Gokmen and Vlasov 2016).

    Probabilities are C |x_i| and C |d_j| with C = sqrt(lr/(n_slots step)), so that a cell takes
    n_slots C^2 |x_i d_j| steps on average: E[dw_ij] = -n_slots step C^2 x_i d_j = -lr x_i d_j for a sample, and the
    number of steps of a sample is binomial, n_slots trials of p_i q_j. A probability above one is one
    (`Pulses.n_saturated`).

    Args:
        x: Inputs of the rows, shape `(batch, n_rows)`, finite.
        d: Errors of the columns (the gradient of the loss with respect to the product), shape `(batch, n_cols)`.
        lr: Learning rate, at least 0, in the unit of the weight over that of x times d.
        step: Size of one step for which the mean is right, as `PulseResponse.mean_step`.
        generator: Source of the randomness, on x's torch device.
        n_slots: Length of every sample's stream.

    Raises:
        SetpointError: x and d do not fit each other.
        ValueError: The learning rate, the step or the length is out of range.
    """
    _check(x, d, lr, step, n_slots)
    gain = (lr / (step * n_slots)) ** 0.5
    lengths = torch.full((x.shape[0],), n_slots if lr > 0.0 else 0, device=x.device)
    return _draw(x, d, gain * x.abs(), gain * d.abs(), lengths, generator)


def balanced_pulses(
    x: Tensor, d: Tensor, *, lr: float, step: float, generator: torch.Generator, max_slots: int = 31
) -> Pulses:
    """Draw streams as long as each sample needs, with equal largest probabilities on rows and columns.

    Update management (Gokmen, Onen and Haensch, Front. Neurosci. 11, 538, 2017; the length: Rasch, Gokmen and
    Haensch, IEEE Design & Test 37, 2019): a sample takes n = ceil(lr max|x| max|d|/step) slots, at most
    `max_slots` and none where x or d is zero, and probabilities |x_i|/max|x| and |d_j|/max|d| times
    sqrt(lr max|x| max|d|/(n step)). The mean is that of `fixed_pulses`; only a sample cut at `max_slots` saturates.

    Args:
        x: See `fixed_pulses`.
        d: See `fixed_pulses`.
        lr: See `fixed_pulses`.
        step: See `fixed_pulses`.
        generator: See `fixed_pulses`.
        max_slots: Longest stream of a sample.

    Raises:
        SetpointError: See `fixed_pulses`.
        ValueError: See `fixed_pulses`.
    """
    _check(x, d, lr, step, max_slots)
    return _draw(x, d, *_balanced(x, d, lr / step, max_slots), generator)


def even_pulses(x: Tensor, d: Tensor, *, lr: float, step: float, max_slots: int = 31) -> Pulses:
    """Return streams without chance: rows pulse first, columns evenly spread over the stream.

    Lengths and probabilities are those of `balanced_pulses`. A row pulses in the first of its n slots, as many as p n
    rounds to; a column wherever the van der Corput sequence in base 2 lies below its q. So the number of coincidences
    is that of a low-discrepancy sequence, off from n p q by O(log n) at most instead of the square root of it, and
    the same every time. What rounds to no pulse is never written: small products are lost, which chance keeps.

    Args:
        x: See `fixed_pulses`.
        d: See `fixed_pulses`.
        lr: See `fixed_pulses`.
        step: See `fixed_pulses`.
        max_slots: Longest stream of a sample.

    Raises:
        SetpointError: See `fixed_pulses`.
        ValueError: See `fixed_pulses`.
    """
    _check(x, d, lr, step, max_slots)
    p_x, p_d, lengths = _balanced(x, d, lr / step, max_slots)
    saturated = ((p_x > 1.0).sum(-1) + (p_d > 1.0).sum(-1))[lengths > 0].sum()
    sample = torch.repeat_interleave(lengths)
    slot = torch.arange(len(sample), device=x.device) - (lengths.cumsum(0) - lengths)[sample]
    # half a slot is added, so that a count is the rounded and not the truncated share
    half = 0.5 / lengths[sample].clamp(min=1)
    row_pulses = (2 * slot * half + half)[:, None] < p_x[sample]
    column_pulses = (_van_der_corput(slot) + half)[:, None] < p_d[sample]
    rows, columns = row_pulses * x.sign().to(torch.int8)[sample], column_pulses * (-d).sign().to(torch.int8)[sample]
    return Pulses(rows, columns, saturated)


def coincidences(pulses: Pulses) -> tuple[Tensor, Tensor]:
    """Return how many steps up and down each cell takes, two of shape `(n_rows, n_cols)`, `int32`.

    Exact counts of the shared streams: all cells of a row meet the same row pulses, so their counts are
    correlated as in an array (a row without a pulse moves none of them).
    """
    shape = (pulses.rows.shape[1], pulses.columns.shape[1])
    n_up, n_down = (torch.zeros(shape, dtype=torch.int32, device=pulses.rows.device) for _ in range(2))
    # One product counts both directions: with a positive pulse as 1 and a negative one as 256, equal signs meet in
    # the digits of 1 and of 256^2, opposite ones in that of 256. No digit overflows within 255 slots, and single
    # precision, or any shorter type with an exact 256, is exact up to 2^24.
    for rows, columns in zip(pulses.rows.split(255), pulses.columns.split(255), strict=True):
        digits = (_coded(rows).mT @ _coded(columns)).to(torch.int32)
        n_down += (digits >> 8).bitwise_and_(255)
        n_up += digits.bitwise_and(255).add_(digits.bitwise_right_shift_(16))
    return n_up, n_down


@torch.no_grad()
def apply_pulses(
    w: Tensor,
    pulses: Pulses,
    cells: PulsedCells,
    *,
    generator: torch.Generator,
    order: Literal["frozen", "sequential"] = "frozen",
) -> Tensor:
    """Return the weights after the pulses of one batch.

    With `"sequential"` every slot is applied after the one before, each step with the size that the law gives at
    the weight reached by then, and bounds checked after every step: what an array does. With `"frozen"` steps have
    the size that the law gives at the weight before the batch, only their numbers count (`coincidences`), the
    noise from pulse to pulse of n steps is one normal number with n times the variance, and bounds are checked
    once. Both are the same in distribution for a constant step as long as no cell meets a bound within the batch;
    otherwise frozen is right to first order in what the batch changes: keep that small against the range, or
    split the batch.

    Args:
        w: Weights before, shape `(n_rows, n_cols)`, each within its cell's bounds.
        pulses: Streams of `n_rows` rows and `n_cols` columns.
        cells: The array's cells.
        generator: Source of the noise from pulse to pulse, on w's torch device.
        order: See above.

    Raises:
        SetpointError: The weights do not fit the pulses or the cells, or lie outside the cells' bounds.
    """
    _check_weights(w, (pulses.rows.shape[1], pulses.columns.shape[1]), cells)
    n_met = ((pulses.rows != 0).sum(-1) * (pulses.columns != 0).sum(-1)).sum()
    if n_met < _SPARSE * w.numel():
        return _sparse(w, pulses, cells, generator, order)
    if order == "frozen":
        return _step(w, *coincidences(pulses), cells, generator)
    return _slot_by_slot(w, pulses, cells, generator)


@torch.no_grad()
def apply_steps(w: Tensor, counts: Tensor, cells: PulsedCells, *, generator: torch.Generator) -> Tensor:
    """Return the weights after every cell got pulses of its own, one after the other.

    Args:
        w: Weights before, shape `(n_rows, n_cols)`, each within its cell's bounds.
        counts: Number of pulses, negative where they go down, integers of the same shape.
        cells: The array's cells.
        generator: Source of the noise from pulse to pulse, on w's torch device.

    Raises:
        SetpointError: The weights do not fit the counts or the cells, or lie outside the cells' bounds.
    """
    _check_weights(w, tuple(counts.shape), cells)
    w = w.clone()
    for k in range(int(counts.abs().max()) if counts.numel() else 0):
        w = _step(w, counts > k, counts < -k, cells, generator)
    return w


def pulsed_update(
    w: Tensor,
    x: Tensor,
    d: Tensor,
    cells: PulsedCells,
    *,
    lr: float,
    generator: torch.Generator,
    max_slots: int = 31,
    order: Literal["frozen", "sequential"] = "frozen",
) -> Tensor:
    """Return the weights after one pulsed step of gradient descent, w - lr x^T d on average for ideal cells.

    Streams of `balanced_pulses`, applied by `apply_pulses`, which see.

    Args:
        w: Weights before, shape `(n_rows, n_cols)`, each within its cell's bounds.
        x: Inputs of the rows, shape `(batch, n_rows)`.
        d: Gradient of the loss with respect to the products of the columns, shape `(batch, n_cols)`.
        cells: The array's cells.
        lr: Learning rate, at least 0.
        generator: Source of the randomness, on w's torch device.
        max_slots: Longest stream of a sample.
        order: See `apply_pulses`.

    Raises:
        SetpointError: x, d, w and cells do not fit each other, or w lies outside the cells' bounds.
        ValueError: The learning rate or `max_slots` is out of range.
    """
    pulses = balanced_pulses(x, d, lr=lr, step=cells.response.mean_step, generator=generator, max_slots=max_slots)
    return apply_pulses(w, pulses, cells, generator=generator, order=order)


def _check(x: Tensor, d: Tensor, lr: float, step: float, n_slots: int) -> None:
    if x.ndim != 2 or d.ndim != 2 or x.shape[0] != d.shape[0]:
        raise SetpointError(
            f"pulses: x has shape {tuple(x.shape)} and d {tuple(d.shape)}, expected (batch, n_rows) and (batch, n_cols)"
        )
    # a sum is finite only if all terms are, or where finite numbers overflow, which are no setpoints either
    if not bool(torch.isfinite(x.sum() + d.sum())):
        raise SetpointError("pulses: x or d holds NaN or infinity, expected finite numbers; lower the learning rate")
    if not (0.0 <= lr < float("inf") and step > 0.0 and n_slots >= 1):
        raise ValueError(
            f"pulses: learning rate is {lr:g}, step {step:g} and the stream {n_slots} slots long, expected a finite "
            "rate of at least 0, a step above 0 and at least 1 slot"
        )


def _check_weights(w: Tensor, shape: tuple[int, ...], cells: PulsedCells) -> None:
    if tuple(w.shape) != shape or w.shape != cells.low.shape:
        raise SetpointError(
            f"{cells.response.name}: weights have shape {tuple(w.shape)}, pulses are for {shape} and cells for "
            f"{tuple(cells.low.shape)}, expected the same"
        )
    inside = (w >= cells.low) & (w <= cells.high)  # False for NaN
    if not bool(inside.all()):
        raise SetpointError(
            f"{cells.response.name}: {int((~inside).sum())} of {w.numel()} weights lie outside their cells' bounds; "
            "clamp the weights to the cells' low and high before the first update"
        )


def _balanced(x: Tensor, d: Tensor, steps_a_unit: float, max_slots: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the probabilities of rows and columns and the lengths of balanced streams."""
    size_x, size_d = x.abs(), d.abs()
    top_x, top_d = size_x.amax(-1, keepdim=True), size_d.amax(-1, keepdim=True)
    steps = steps_a_unit * top_x * top_d
    lengths = steps.ceil().clamp(max=max_slots)
    share = (steps / lengths.clamp(min=1.0)).sqrt()
    # a sample without a row or column to drive has no slot, and its quotient is never used
    smallest = torch.finfo(x.dtype).tiny
    p_x, p_d = size_x * (share / top_x.clamp(min=smallest)), size_d * (share / top_d.clamp(min=smallest))
    return p_x, p_d, lengths.squeeze(-1).long()


def _van_der_corput(index: Tensor) -> Tensor:
    """Return the numbers of the van der Corput sequence in base 2: the bits of an index, mirrored at the point."""
    found, weight = torch.zeros(index.shape, dtype=torch.float64, device=index.device), 0.5
    for bit in range(int(index.max()).bit_length() if index.numel() else 0):
        found += weight * (index >> bit).bitwise_and(1)
        weight /= 2
    return found


@torch.no_grad()
def _draw(x: Tensor, d: Tensor, p_x: Tensor, p_d: Tensor, lengths: Tensor, generator: torch.Generator) -> Pulses:
    saturated = ((p_x > 1.0).sum(-1) + (p_d > 1.0).sum(-1))[lengths > 0].sum()
    sample = torch.repeat_interleave(lengths)
    return Pulses(_stream(x, p_x, sample, generator), _stream(-d, p_d, sample, generator), saturated)


def _stream(sign_of: Tensor, probability: Tensor, sample: Tensor, generator: torch.Generator) -> Tensor:
    sign = sign_of.sign().to(torch.int8)
    parts = []
    for part in sample.split(_PART_SLOTS):
        chance = torch.rand((len(part), sign.shape[1]), generator=generator, dtype=sign_of.dtype, device=sign.device)
        parts.append((chance < probability[part]).to(torch.int8).mul_(sign[part]))
    return torch.cat(parts)


def _slot_by_slot(w: Tensor, pulses: Pulses, cells: PulsedCells, generator: torch.Generator) -> Tensor:
    w, stack = w.clone(), torch.stack(cells.tensors())
    for row, column in zip(pulses.rows, pulses.columns, strict=True):
        i, j = row.nonzero(), column.nonzero().squeeze(-1)
        if i.numel() and j.numel():
            up = row[i] == column[j]
            w[i, j] = _step(w[i, j], up, ~up, PulsedCells(cells.response, *stack[:, i, j]), generator)
    return w


def _sparse(
    w: Tensor,
    pulses: Pulses,
    cells: PulsedCells,
    generator: torch.Generator,
    order: Literal["frozen", "sequential"],
) -> Tensor:
    """Apply few pulses by way of a list of their coincidences, touching no other cell."""
    cell, up = _meetings(pulses)
    met, meeting, n_steps = torch.unique(cell, return_inverse=True, return_counts=True)
    after = w.flatten().clone()
    parts = [tensor.flatten() for tensor in cells.tensors()]
    if order == "frozen":
        n_up = torch.bincount(meeting[up], minlength=len(met))
        mine = PulsedCells(cells.response, *(part[met] for part in parts))
        after[met] = _step(after[met], n_up, n_steps - n_up, mine, generator)
        return after.view_as(w)
    # the list is in the order of the slots: each turn takes, from every cell, the first step that is left
    by_cell = meeting.argsort(stable=True)
    first = torch.repeat_interleave(n_steps.cumsum(0) - n_steps, n_steps)
    turn = torch.arange(len(cell), device=w.device) - first
    for k in range(int(n_steps.max()) if len(met) else 0):
        now = by_cell[turn == k]
        mine = PulsedCells(cells.response, *(part[cell[now]] for part in parts))
        after[cell[now]] = _step(after[cell[now]], up[now], ~up[now], mine, generator)
    return after.view_as(w)


def _meetings(pulses: Pulses) -> tuple[Tensor, Tensor]:
    """Return the cell of each coincidence (row times number of columns plus column) and whether it steps up."""
    slot, i = pulses.rows.nonzero(as_tuple=True)
    column_slot, j = pulses.columns.nonzero(as_tuple=True)
    # a row's pulse meets each of the column pulses of its slot, which follow each other in their list
    n_columns = torch.bincount(column_slot, minlength=len(pulses.columns))
    n_partners, first_partner = n_columns[slot], (n_columns.cumsum(0) - n_columns)[slot]
    first_meeting = n_partners.cumsum(0) - n_partners
    row_pulse = torch.repeat_interleave(n_partners)
    column_pulse = torch.arange(len(row_pulse), device=slot.device) + (first_partner - first_meeting)[row_pulse]
    up = pulses.rows[slot, i][row_pulse] == pulses.columns[column_slot, j][column_pulse]
    return i[row_pulse] * pulses.columns.shape[1] + j[column_pulse], up


def _coded(stream: Tensor) -> Tensor:
    """Return 1 where a pulse is positive, 256 where it is negative, else 0."""
    return torch.where(stream < 0, 256.0, stream.float())


def _step(w: Tensor, n_up: Tensor, n_down: Tensor, cells: PulsedCells, generator: torch.Generator) -> Tensor:
    """Return `w` after so many steps of each cell, all of the size they have at `w`."""
    response = cells.response
    factor_up, factor_down = response.law.factors(w, cells)
    up, down = cells.step_up * factor_up, cells.step_down * factor_down
    # once, and not in each of the products below
    n_up, n_down = n_up.to(w.dtype), n_down.to(w.dtype)
    moved = torch.addcmul(w, n_up, up).addcmul_(n_down, down, value=-1.0)
    if response.cycle_std > 0.0:
        if response.cycle_reference == "nominal":
            up, down = cells.step_up, cells.step_down
        variance = n_up.mul_(up).mul_(up).add_(n_down.mul_(down).mul_(down))
        # v/sqrt(v) and not sqrt(v), which takes five times as long where v is zero: in most cells of most batches
        std = torch.rsqrt(variance + torch.finfo(w.dtype).tiny).mul_(variance)
        noise = torch.randn(w.shape, generator=generator, dtype=w.dtype, device=w.device)
        moved.addcmul_(std, noise, value=response.cycle_std)
    return moved.clamp_(cells.low, cells.high)
