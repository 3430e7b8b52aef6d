import torch

from pnnlab.training import DigitsConfig, load_task


def test_fewer_samples_to_learn_from_leave_validation_and_test_as_they_are() -> None:
    whole, some = load_task(DigitsConfig()), load_task(DigitsConfig(train=60))
    assert [len(part[1]) for part in (some.train, some.validation, some.test)] == [60, 100, 450]
    assert torch.equal(some.test[0], whole.test[0]) and torch.equal(some.validation[1], whole.validation[1])
    assert torch.equal(some.train[0], whole.train[0][:60]) and torch.equal(some.train[1], whole.train[1][:60])
    assert len(some.train[1].unique()) == 10


def test_no_more_samples_are_learned_from_than_there_are() -> None:
    whole = load_task(DigitsConfig())
    assert len(load_task(DigitsConfig(train=5000)).train[1]) == len(whole.train[1]) == 1247
