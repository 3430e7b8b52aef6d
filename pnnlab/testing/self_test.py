"""The conformance kit run on one device of a bench file, in a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pnnlab.bench import BenchFile
from pnnlab.errors import DeviceError
from pnnlab.testing.evidence import Evidence, read_evidence
from pnnlab.testing.on_bench import suites_of

__all__ = ["self_test"]


def self_test(
    bench: Path, name: str, outputs: Sequence[str] = (), *, progress: Callable[[int], object] = lambda _: None
) -> list[Evidence]:
    """Run the suites of a device's roles; return what each rule has shown.

    Args:
        bench: The bench file.
        name: The device.
        outputs: Where the outputs of a live device may be put, each as `voltage=0 V to 1 V`; without it they stay in
            their safe state.
        progress: Told how many rules are done, from time to time.

    Raises:
        PnnlabError: The file, the device or a range is wrong; nothing was opened.
        DeviceError: The suites did not run.
    """
    suites_of(BenchFile.load(bench), name, outputs)  # what is wrong is told before a process is started
    with tempfile.TemporaryDirectory(prefix="pnnlab") as folder:
        # apart from whatever project and plugins there are where the command is given
        settings, found = Path(folder, "pytest.ini"), Path(folder, "evidence.jsonl")
        settings.write_text("[pytest]\n", encoding="utf-8")
        command = [
            sys.executable, "-m", "pytest", "-q", "-c", str(settings), "-p", "no:cacheprovider", "-p",
            "pnnlab.pytest_plugin", "--noconftest", "--pnnlab-device", name, "--bench", str(bench),
            "--pnnlab-evidence", str(found), *(f"--pnnlab-outputs={output}" for output in outputs),
        ]  # fmt: skip
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "",
        }  # fmt: skip
        with Path(folder, "output").open("w+", encoding="utf-8") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)  # noqa: S603
            _wait(process, lambda: progress(len(read_evidence(found))))
            output.seek(0)
            evidence = read_evidence(found)
            if not evidence:
                raise DeviceError(f"{name}: the conformance kit did not run: {output.read()[-1000:].strip()}")
        return evidence


def _wait(process: subprocess.Popen[bytes], look: Callable[[], object]) -> None:
    try:
        while process.poll() is None:
            look()
            time.sleep(0.2)
    except KeyboardInterrupt:
        process.wait()  # it was interrupted, too, and makes its device safe
        raise
