"""Errors come out of a worker process as they went in."""

import pickle

import pytest

from pnnlab.errors import BenchError, BenchFileError, DeviceError, InstrumentError, PnnlabError, Problem

ERRORS = [
    BenchFileError([Problem("b.yaml", 3, "a.b", "it is wrong", "mend it"), Problem("b.yaml", 1, "a", "bad", "")]),
    BenchError("opened", {"slm": DeviceError("slm: no answer")}),
    InstrumentError("it said so", ["-113, undefined header"]),
    DeviceError("camera: no answer"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_from_another_process(error: PnnlabError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (made one line above)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert {key: str(value) for key, value in vars(again).items()} == {
        key: str(value) for key, value in vars(error).items()
    }
