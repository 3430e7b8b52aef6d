"""What all tests share."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """One thread: on a shared machine a second one waits for its turn longer than it computes."""
    torch.set_num_threads(1)
