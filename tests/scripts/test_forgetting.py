"""Sequences of tasks, and what is shown again of the earlier ones."""

import torch

from pnnlab.training import DigitsConfig, load_task
from scripts.show_forgetting import permuted, rehearsed, split, together


def test_a_split_task_is_cut_by_classes_and_joins_to_the_whole() -> None:
    whole = load_task(DigitsConfig())
    parts = split(whole, 3)
    assert [sorted(set(part.train[1].tolist())) for part in parts] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    joined = together(parts)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(joined, part)[1].sort().values, getattr(whole, part)[1].sort().values)


def test_permuted_inputs_are_the_same_numbers_and_rehearsal_adds_earlier_samples() -> None:
    whole = load_task(DigitsConfig())
    tasks = permuted(whole, 3)
    assert torch.equal(tasks[0].train[0], whole.train[0]) and not torch.equal(tasks[1].train[0], tasks[2].train[0])
    assert torch.equal(tasks[2].train[0].sort(-1).values, whole.train[0].sort(-1).values)
    third = rehearsed(tasks, 2, 5).train
    assert torch.equal(third[0], torch.cat([tasks[2].train[0], tasks[0].train[0][:5], tasks[1].train[0][:5]]))
    assert len(third[1]) == len(whole.train[1]) + 10
