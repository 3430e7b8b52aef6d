"""Batches that are handed in: their order, their chunks, and what becomes of them when the bench closes."""

import threading
from pathlib import Path

import numpy as np
import pytest

from pnnlab.bench import Bench
from pnnlab.devices import State
from pnnlab.errors import SetpointError, StateError
from pnnlab.systems import DeviceThread
from tests.benches import OpticalBench

ROOT = Path(__file__).parents[2]


def batch(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((n, 64), np.float32), rng.random(64, np.float32)


def test_batches_are_measured_in_the_order_in_which_they_were_handed_in() -> None:
    bench = OpticalBench()
    theta = batch(1)[1]
    pending = [bench.optics.submit(batch(3, seed)[0], theta) for seed in range(8)]
    tokens = [p.result().tokens for p in pending]
    assert np.concatenate(tokens).tolist() == sorted(np.concatenate(tokens).tolist())
    starts = [p.result().start_s for p in pending]
    assert starts == sorted(starts) and bench.optics.n_shots == 24


def test_chunks_are_views_of_one_run() -> None:
    bench = OpticalBench(camera={"noise": 0.0})
    x, theta = batch(10)
    pending = bench.optics.submit(x, theta, chunks=[4, 1, 5])
    chunks = [pending.chunk(k) for k in range(pending.n_chunks)]
    whole = pending.result()
    np.testing.assert_array_equal(np.concatenate([c.y for c in chunks]), whole.y)
    assert [len(c.tokens) for c in chunks] == [4, 1, 5] and np.shares_memory(chunks[1].y, whole.y)
    gaps = np.diff(whole.exposed_s)
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-9, err_msg="the panel stopped between two chunks")


@pytest.mark.parametrize("chunks", [[4, 4], [10, 0], [11]])
def test_chunks_that_do_not_fit_are_refused(chunks: list[int]) -> None:
    bench = OpticalBench()
    with pytest.raises(SetpointError, match="chunks of"):
        bench.optics.submit(*batch(10), chunks=chunks)


def test_closing_drops_what_has_not_begun_and_leaves_outputs_safe() -> None:
    bench = Bench.from_file(ROOT / "instruments.yaml").open()
    optics, panel = bench.systems["optics"], bench.devices["slm"]
    x, theta = np.zeros((64, optics.n_in), np.float32), np.zeros(optics.n_controls, np.float32)
    pending = [optics.submit(x, theta) for _ in range(20)]
    bench.close()
    failures = []
    for p in pending:
        try:
            p.result()
        except StateError as error:
            failures.append(str(error))
    assert failures and panel.state is State.CLOSED
    assert any("closed before these shots were measured" in text for text in failures)


def test_a_thread_without_work_ends_and_a_new_one_begins() -> None:
    thread = DeviceThread("test")
    names: list[int] = []

    class Job:
        def run(self) -> None:
            names.append(threading.get_ident())

        def fail(self, error: BaseException) -> None: ...

    thread.submit(Job())
    assert thread.join(5.0)
    thread.submit(Job())
    assert thread.join(5.0) and len(names) == 2
