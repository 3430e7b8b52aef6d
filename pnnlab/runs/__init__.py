"""The record of a run: a folder that says what was executed, on what, and what came out (no torch)."""

from pnnlab.runs._atomic import previous_path, read_or_previous, write_atomically
from pnnlab.runs._folder import find_run, list_runs
from pnnlab.runs._json import JsonValue
from pnnlab.runs._metrics import LoggedStep
from pnnlab.runs._provenance import collect_provenance
from pnnlab.runs._record import EndStatus, RunRecord, RunStatus
from pnnlab.runs._run import Run

__all__ = [
    "EndStatus",
    "JsonValue",
    "LoggedStep",
    "Run",
    "RunRecord",
    "RunStatus",
    "collect_provenance",
    "find_run",
    "list_runs",
    "previous_path",
    "read_or_previous",
    "write_atomically",
]
