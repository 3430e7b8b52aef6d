"""What every result must be compared with: a linear classifier, and a linear read-out of untrained physics."""

import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from pnnlab.methods import set_rule
from pnnlab.nn import ForwardRule
from pnnlab.training._tasks import Task

__all__ = ["linear_on_inputs", "linear_on_physics"]


def linear_on_inputs(task: Task) -> float:
    """Return the test accuracy of a ridge classifier on the inputs themselves."""
    return _ridge(task.train, task.test)


def linear_on_physics(model: nn.Sequential, task: Task) -> float:
    """Return the test accuracy of a ridge read-out of the last layer's measured outputs, controls as they are.

    This is the extreme learning machine: the physics is not trained, a digital linear layer is.
    """
    set_rule(model, ForwardRule.MEASURED)
    body = model[:-1]  # the read-out is the last module
    with torch.no_grad():
        train, test = ((torch.cat([body(part) for part in x.split(64)]), y) for x, y in (task.train, task.test))
    return _ridge(train, test)


def _ridge(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    classifier = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1.0))
    classifier.fit(train[0].numpy(), train[1].numpy())
    return float(classifier.score(test[0].numpy(), test[1].numpy()))
