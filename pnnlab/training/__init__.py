"""Training: recipes, tasks, the loop, and the recorded experiment."""

from pnnlab.training._account import Account, Load, Segment, Stage, course
from pnnlab.training._baselines import linear_on_inputs, linear_on_physics
from pnnlab.training._build import build_method, build_model, build_twins, fit_twins, record_training_shots
from pnnlab.training._compare import Budget, Trial, compare, read_trials, resume_comparison
from pnnlab.training._comparison import Comparison, Curve, MethodResult, Spread, read_comparison
from pnnlab.training._conditions import Condition, measure_conditions
from pnnlab.training._experiment import Outcome, Watcher, fit_only, read_recipe, resume_training, train
from pnnlab.training._openings import Opening, Openings, Openness, find_openings, measure_openings
from pnnlab.training._profile import Profile, profile
from pnnlab.training._recipe import NetworkConfig, Recipe, TwinFitConfig
from pnnlab.training._section import bench_file_schema, change_recipe, check_recipes
from pnnlab.training._tasks import DigitsConfig, IrisConfig, MnistConfig, Task, TaskConfig, VowelsConfig, load_task
from pnnlab.training._trainer import Progress, Score, Trainer, deploy, evaluate
from pnnlab.training._twin_check import TwinCheck, check_twins, check_twins_of_run
from pnnlab.training._twin_search import Candidate, TwinSearch, search_twins

__all__ = [
    "Account",
    "Budget",
    "Candidate",
    "Comparison",
    "Condition",
    "Curve",
    "DigitsConfig",
    "IrisConfig",
    "Load",
    "MethodResult",
    "MnistConfig",
    "NetworkConfig",
    "Opening",
    "Openings",
    "Openness",
    "Outcome",
    "Profile",
    "Progress",
    "Recipe",
    "Score",
    "Segment",
    "Spread",
    "Stage",
    "Task",
    "TaskConfig",
    "Trainer",
    "Trial",
    "TwinCheck",
    "TwinFitConfig",
    "TwinSearch",
    "VowelsConfig",
    "Watcher",
    "bench_file_schema",
    "build_method",
    "build_model",
    "build_twins",
    "change_recipe",
    "check_recipes",
    "check_twins",
    "check_twins_of_run",
    "compare",
    "course",
    "deploy",
    "evaluate",
    "find_openings",
    "fit_only",
    "fit_twins",
    "linear_on_inputs",
    "linear_on_physics",
    "load_task",
    "measure_conditions",
    "measure_openings",
    "profile",
    "read_comparison",
    "read_recipe",
    "read_trials",
    "record_training_shots",
    "resume_comparison",
    "resume_training",
    "search_twins",
    "train",
]
