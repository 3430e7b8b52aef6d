"""A process of its own that asks drivers what they could open; see `scan`."""

import json
import logging
import os
import sys
import threading
from dataclasses import asdict

from pnnlab.bench._options_text import options_text
from pnnlab.bench._registry import find_driver
from pnnlab.devices import Device, roles_of

__all__: list[str] = []


def main() -> None:
    """Ask the drivers that the arguments name, all at once; write a line of JSON for each that has answered."""
    # libraries of vendors print what they like where they like
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable()
    lock = threading.Lock()

    def ask(name: str) -> None:
        answer = {"driver": name, **_answer(name)}
        with lock:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

    threads = [threading.Thread(target=ask, args=(name,), daemon=True) for name in sys.argv[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)  # a library may hang when it is unloaded


def _answer(name: str) -> dict[str, object]:
    try:
        driver = find_driver(name)
        return {"roles": roles_of(driver), "candidates": _candidates(driver)}
    except Exception as error:  # whatever a driver does, the others are asked
        return {"error": f"{type(error).__name__}: {error}"}


def _candidates(driver: type[Device]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for candidate in driver.discover():
        options = driver.Options.model_validate(dict(candidate.options))
        found.append({"identity": asdict(candidate.identity), "options": options_text(options), "note": candidate.note})
    return found


if __name__ == "__main__":
    main()
