"""What a bench forgets of earlier tasks while it learns later ones.

    python scripts/show_forgetting.py                                    # digits 0 to 4, then 5 to 9
    python scripts/show_forgetting.py --sequence permuted --tasks 3      # the same digits, pixels in another order
    python scripts/show_forgetting.py --methods physics_aware phyll --keep 0 50 --bench scripts/benches/crossbar.yaml

The bench learns one task after the other, and its controls (and whatever digital parts the method has) go on from
where they are. The table has the test accuracy on each task after each stage, with `--keep` samples of every earlier
task shown again (rehearsal), and two figures: the mean accuracy on all tasks at the end, and the backward transfer,
the mean change of accuracy on a task since it was learned (Lopez-Paz & Ranzato 2017, arXiv 1706.08840): negative
where it was forgotten. `joint` has seen all tasks at once, for as many steps.
"""

import argparse
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from pnnlab.bench import Bench
from pnnlab.training import (
    Recipe,
    Task,
    Trainer,
    build_method,
    build_model,
    build_twins,
    deploy,
    load_task,
    read_recipe,
)

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Course:
    """What is learned how.

    Attributes:
        bench: Its file.
        method: Name of a training method.
        tasks: One after the other.
        changes: Keys of the recipe to replace.
    """

    bench: Path
    method: str
    tasks: tuple[Task, ...]
    changes: dict[str, object]


def split(task: Task, count: int) -> tuple[Task, ...]:
    """Return tasks of neighbouring classes each."""

    def only(pair: Pair, classes: Tensor) -> Pair:
        chosen = torch.isin(pair[1], classes)
        return pair[0][chosen], pair[1][chosen]

    groups = torch.arange(task.n_classes).tensor_split(count)
    return tuple(
        replace(task, train=only(task.train, g), validation=only(task.validation, g), test=only(task.test, g))
        for g in groups
    )


def permuted(task: Task, count: int) -> tuple[Task, ...]:
    """Return the task with its inputs in another order each time; the first as it is."""
    n = task.train[0].shape[-1]
    orders = [
        torch.arange(n),
        *(torch.randperm(n, generator=torch.Generator().manual_seed(k)) for k in range(1, count)),
    ]

    def put(pair: Pair, order: Tensor) -> Pair:
        return pair[0][:, order], pair[1]

    return tuple(
        replace(task, train=put(task.train, o), validation=put(task.validation, o), test=put(task.test, o))
        for o in orders
    )


def together(tasks: tuple[Task, ...]) -> Task:
    """Return all tasks as one."""
    train, validation, test = (
        (torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs]))
        for pairs in zip(*((one.train, one.validation, one.test) for one in tasks), strict=True)
    )
    return replace(tasks[0], train=train, validation=validation, test=test)


def rehearsed(tasks: tuple[Task, ...], stage: int, keep: int) -> Task:
    """Return a stage's task with some samples of every earlier one."""
    now = tasks[stage]
    pairs = [now.train, *((one.train[0][:keep], one.train[1][:keep]) for one in tasks[:stage])]
    return replace(now, train=(torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs])))


def learned(course: Course, stages: tuple[Task, ...]) -> list[list[float]]:
    """Learn stage by stage; return the accuracy on each task of the course after each stage."""
    torch.set_num_threads(1)
    with Bench.from_file(course.bench) as bench:
        _, recipe = read_recipe(bench.file)
        recipe = Recipe.model_validate(recipe.model_dump() | course.changes | {"method": course.method})
        torch.manual_seed(recipe.seed)
        twins = build_twins(recipe, bench.systems)
        for twin in twins.values():
            twin.freeze()
        model = build_model(recipe, course.tasks[0], bench.systems, twins)
        method = build_method(recipe)
        found: list[list[float]] = []
        for stage in stages:
            kept = method.state() if found else None
            trainer = Trainer(model, method, stage, recipe, bench=bench)
            if kept is not None:
                # digital parts of the method go on from where they are, too
                method.load_state(kept)
            trainer.run()
            found.append([deploy(model, one.test, method=method).accuracy for one in course.tasks])
        return found


def rows(course: Course, keeps: list[int]) -> list[list[str]]:
    """Return the table's rows of a method: how many are kept, the stage, accuracies, their mean, backward transfer."""
    table = []
    for keep in keeps:
        stages = tuple(rehearsed(course.tasks, k, keep) for k in range(len(course.tasks)))
        found = learned(course, stages)
        for k, row in enumerate(found):
            table.append([str(keep), f"task {k + 1}", *(f"{100 * one:.1f}" for one in row), "", ""])
        moved = [100 * (found[-1][j] - found[j][j]) for j in range(len(found) - 1)]
        table[-1][-2:] = [f"{100 * statistics.mean(found[-1]):.1f}", f"{statistics.mean(moved):+.1f}"]
    (row,) = learned(course, (together(course.tasks),))
    return [*table, ["joint", "all", *(f"{100 * one:.1f}" for one in row), f"{100 * statistics.mean(row):.1f}", ""]]


def main() -> None:
    """Parse, learn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", type=Path, default=Path("instruments.yaml"))
    parser.add_argument("--sequence", choices=("split", "permuted"), default="split")
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=["physics_aware"])
    parser.add_argument("--keep", type=int, nargs="+", default=[0, 50])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    # a constant learning rate: what is learned later is learned no more gently than what came first
    changes: dict[str, object] = {"epochs": args.epochs, "seed": args.seed, "patience": None, "schedule": "constant"}
    _, recipe = read_recipe(Bench.from_file(args.bench).file)
    tasks = {"split": split, "permuted": permuted}[args.sequence](load_task(recipe.task), args.tasks)
    console, begin = Console(), time.perf_counter()
    columns = ["method", "kept", "after", *(f"task {k + 1}" for k in range(args.tasks)), "mean", "backward transfer"]
    table = Table(*columns, title=f"{args.bench}, {args.sequence}: test accuracy on the bench in percent")
    for method in args.methods:
        for row in rows(Course(args.bench, method, tasks, changes), args.keep):
            table.add_row(method, *row)
        console.print(f"[dim]{method} ({time.perf_counter() - begin:.0f} s)")
    console.print(table)


if __name__ == "__main__":
    main()
