"""A test for pytest, written from a recorded session."""

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pnnlab.errors import RecordError
from pnnlab.transports._traffic import exchanges, read_traffic

__all__ = ["write_test"]

_TEXT: Final = frozenset(range(32, 127)) | frozenset(b"\t\r\n")
_DEVICES: Final = ("Trigger", "RegionOfInterest")
"""Types of arguments that come from `pnnlab.devices`."""

_HEAD: Final = '''"""A session with {resource}, recorded at {begun}: the recorded instrument stands for the real one.

Written by `python -m pnnlab.transports test`: look it over, and keep what it should go on to be sure of.
"""
# ruff: noqa: E501

{imports}

TRAFFIC = [
{traffic}
]


def test_{name}_as_recorded() -> None:
    with replayed(TRAFFIC) as instrument:
        options = {driver}.Options(resource={resource_of}{options})
        device = {driver}("{device}", options, clock=RealClock())
{calls}
'''


def write_test(recording: str | Path, file: str | Path | None = None) -> Path:
    """Write a test that makes the calls of a recorded session again, with the recorded instrument.

    The test fails where the driver sends something else, in another order, or returns something else than recorded.

    Args:
        recording: A file that `recorded_session` has written.
        file: The test; beside the recording if `None`.

    Returns:
        Where the test is.

    Raises:
        RecordError: There are no calls in the recording, or the test's file is there already.
    """
    recording = Path(recording)
    entries = read_traffic(recording)
    written = Path(file) if file else recording.with_name(f"test_{_identifier(recording.stem)}.py")
    if written.exists():
        raise RecordError(f"{written}: this file is there already; remove it, or name another")
    written.write_text(_test(recording, entries), encoding="utf-8", newline="\n")
    return written


def _test(recording: Path, entries: Sequence[Mapping[str, object]]) -> str:
    session = next((entry for entry in entries if "driver" in entry), None)
    calls = [entry for entry in entries if "call" in entry]
    if session is None or not calls:
        raise RecordError(f"{recording}: no calls are recorded there, only traffic; record them by recorded_session()")
    module, _, driver = str(session["driver"]).partition(":")
    body = "\n".join(_statement(entry) for entry in calls)
    resource = str(entries[0].get("resource", ""))
    options = str(session["options"]).removeprefix("{").removesuffix("}")
    needed = [name for name in _DEVICES if re.search(rf"\b{name}\b", body)]
    raised = sorted({str(entry["raised"]) for entry in calls if "raised" in entry})
    names = ["plain", "replayed", *(["unpacked"] if "unpacked(" in body else [])]
    third = [
        *(["import numpy as np"] if "np." in body else []),
        *(["import pytest"] if raised else []),
    ]
    ours = [
        f"from pnnlab.devices import {', '.join(sorted(['RealClock', *needed]))}",
        *([f"from pnnlab.errors import {', '.join(raised)}"] if raised else []),
        f"from pnnlab.transports import {', '.join(names)}",
        f"from {module} import {driver}",
    ]
    coded = [f"    ({_bytes(exchange.sent)}, {_bytes(exchange.got)})," for exchange in exchanges(entries)]
    standard = ["import base64", ""] if any("base64." in line for line in coded) else []
    return _HEAD.format(
        resource=resource, begun=entries[0].get("begun", ""), traffic="\n".join(coded), driver=driver,
        imports="\n".join([*standard, *third, *([""] * bool(third)), *ours]), name=_identifier(recording.stem),
        resource_of="instrument.visa" if "::" in resource else "instrument.serial", device=session["name"],
        options=f", **{{{options}}}" if options else "", calls=body,
    )  # fmt: skip


def _statement(entry: Mapping[str, object]) -> str:
    call = f"device.{entry['call']}"
    if "raised" in entry:
        return f"        with pytest.raises({entry['raised']}):\n            {call}"
    returned = str(entry["returned"])
    if returned == "self" or returned == "None":
        return f"        {call}"
    return f"        assert plain({call}) == {returned}"


def _bytes(data: bytes) -> str:
    if _TEXT.issuperset(data):
        return repr(data)
    return f'base64.b64decode("{base64.b64encode(data).decode("ascii")}")'


def _identifier(stem: str) -> str:
    return re.sub(r"\W+", "_", stem).strip("_").lower() or "session"
