"""What all tests share."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

os.environ["PYLON_CAMEMU"] = "2"
"""Cameras that pypylon emulates; it looks when it is loaded, by whichever test that is."""


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """One thread: on a shared machine a second one waits for its turn longer than it computes."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Leases of these tests are kept apart from those of a bench that runs on this computer, and of other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
