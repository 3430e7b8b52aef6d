"""Everything that pnnlab raises on purpose.

```
PnnlabError
├── BenchFileError        the bench file is wrong; no device was touched
├── BenchError            devices could not be opened or closed; holds every failure
├── LeaseError            another process uses the device; nothing was sent to it
├── SetpointError         a value was refused; nothing was sent to the device
├── DeviceError           a device was touched and did not do what was asked
│   ├── StateError        the device is in the wrong state for this call
│   ├── IdentityError     another instrument answered than the bench file expects
│   ├── AcquisitionError  a reading is late, lost, repeated or incomplete
│   ├── AbilityError      the device cannot do this at all
│   └── TransportError    the conversation with an instrument went wrong
│       ├── ReplyTimeoutError   no answer, or half of one, came in time
│       ├── LinkLostError       the connection is gone, or cannot be trusted any more
│       ├── InstrumentError     the instrument told an error of its own
│       └── ReplyError          an answer came that is none to what was asked
│           ├── TerminatorError     it ends in another way than it should
│           ├── NotAsciiError       it has bytes that are no text
│           ├── GarbledError        it is no number, or not as many, or not of the form that is due
│           ├── NotANumberError     it is NaN, as IEEE 754 or as SCPI's 9.91E37
│           ├── OverloadError       it is infinite, as IEEE 754 or as SCPI's 9.9E37
│           ├── BlockError          a binary block is malformed or has another size
│           └── UnaskedError        bytes came that nobody had asked for
├── TwinError             a digital twin does not fit the system, or its fit went wrong
├── RecordError           a calibration record, or the store of them, cannot be used
├── CapabilityError       the bench's physics lacks what a training method needs
└── RunError              a run folder, checkpoint or recipe cannot be used
```

The class tells whether hardware was touched: of a device, `LeaseError` and `SetpointError` say that it was not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "AbilityError",
    "AcquisitionError",
    "BenchError",
    "BenchFileError",
    "BlockError",
    "CapabilityError",
    "DeviceError",
    "GarbledError",
    "IdentityError",
    "InstrumentError",
    "LeaseError",
    "LinkLostError",
    "NotANumberError",
    "NotAsciiError",
    "OverloadError",
    "PnnlabError",
    "Problem",
    "RecordError",
    "ReplyError",
    "ReplyTimeoutError",
    "RunError",
    "SetpointError",
    "StateError",
    "TerminatorError",
    "TransportError",
    "TwinError",
    "UnaskedError",
]


class PnnlabError(Exception):
    """Base of all errors that pnnlab raises on purpose; its text is meant for a person."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in a file.

    Attributes:
        file: Name of the file as the user gave it.
        line: Line number, counted from 1; 0 where the whole file is meant.
        key: Dotted path of the key, as `devices.slm.limits.level`.
        found: What stands there.
        allowed: What may stand there, and what to do.
    """

    file: str
    line: int
    key: str
    found: str
    allowed: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f"{self.key}: " if self.key else ""
        return f"{place}: {key}{self.found}; {self.allowed}"


class BenchFileError(PnnlabError):
    """The bench file has problems; all of them are listed, and no device was touched.

    Attributes:
        problems: Every problem found, in the order of the lines.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in the bench file"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))

    def __reduce__(self) -> tuple[type["BenchFileError"], tuple[Sequence[Problem]]]:
        return type(self), (self.problems,)


class BenchError(PnnlabError):
    """Some devices or systems failed while the bench opened or closed; every failure is listed.

    Attributes:
        failures: Name of the device or system to the error that it raised.
    """

    def __init__(self, action: str, failures: Mapping[str, Exception]) -> None:
        self._action, self.failures = action, dict(failures)
        lines = [f"{len(failures)} {'part' if len(failures) == 1 else 'parts'} of the bench could not be {action}"]
        lines += [f"  {name}: {type(error).__name__}: {error}" for name, error in failures.items()]
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type["BenchError"], tuple[str, Mapping[str, Exception]]]:
        return type(self), (self._action, self.failures)


class LeaseError(PnnlabError):
    """Another process uses the device; nothing was sent to it."""


class SetpointError(PnnlabError, ValueError):
    """A value lies outside what is allowed; it was refused before anything was sent."""


class DeviceError(PnnlabError):
    """A device was touched and did not do what was asked."""


class StateError(DeviceError):
    """The device is in the wrong state of its life for this call."""


class IdentityError(DeviceError):
    """The instrument that answered is not the one the bench file names."""


class AcquisitionError(DeviceError):
    """A reading is late, lost, repeated or incomplete; none of the batch is returned."""


class AbilityError(DeviceError):
    """The device cannot do what was asked, whatever its state."""


class TransportError(DeviceError):
    """The conversation with an instrument went wrong."""


class ReplyTimeoutError(TransportError):
    """No answer, or only half of one, came in time; the next exchange waits until both sides agree again."""


class LinkLostError(TransportError):
    """The connection is gone, or what comes over it can no longer be told apart; close the device, open it again."""


class InstrumentError(TransportError):
    """The instrument did not do what it was told, and said so in its error queue.

    Attributes:
        entries: What its queue held, oldest first, as it told it.
    """

    def __init__(self, message: str, entries: Sequence[str] = ()) -> None:
        self.entries = tuple(entries)
        super().__init__(message)


class ReplyError(TransportError):
    """An answer came that is none to what was asked."""


class TerminatorError(ReplyError):
    """An answer ends in another way than it should; the terminator in the bench file or in the driver is wrong."""


class NotAsciiError(ReplyError):
    """An answer has bytes that are no text in the instrument's encoding."""


class GarbledError(ReplyError):
    """An answer is no number, not as many numbers, or not of the form that is due."""


class NotANumberError(ReplyError):
    """The instrument says that it has no number: NaN, or SCPI's 9.91E37."""


class OverloadError(ReplyError):
    """The instrument says that the number is beyond its range: infinity, or SCPI's 9.9E37."""


class BlockError(ReplyError):
    """A binary block is malformed, or has another size than it should."""


class UnaskedError(ReplyError):
    """Bytes came that nobody had asked for."""


class TwinError(PnnlabError):
    """A digital twin does not fit its system, or fitting it went wrong."""


class RecordError(PnnlabError):
    """A calibration record, or the store of them, cannot be used."""


class CapabilityError(PnnlabError):
    """A training method needs something that the bench's physics does not allow."""


class RunError(PnnlabError):
    """A run folder, a checkpoint or a training recipe cannot be used."""
