"""`python -m pnnlab.transports`: recorded traffic as an instrument, and as a test."""

import argparse
import sys

from pnnlab.errors import PnnlabError
from pnnlab.transports._replay import Replay, ReplayServer
from pnnlab.transports._traffic import exchanges, read_traffic
from pnnlab.transports._written_test import write_test


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pnnlab.transports", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    replay = commands.add_parser("replay", help="answer on the loopback address as the recorded instrument did")
    replay.add_argument("recording", help="a file of traffic")
    replay.add_argument("--port", type=int, default=5025, help="where to listen; 0 is any free port")
    test = commands.add_parser("test", help="write a test for pytest from a recorded session")
    test.add_argument("recording", help="a file that recorded_session() has written")
    test.add_argument("test", nargs="?", help="the test's file; beside the recording if left out")
    given = parser.parse_args(arguments)
    try:
        if given.command == "test":
            sys.stdout.write(f"wrote {write_test(given.recording, given.test)}\n")
        else:
            _serve(given.recording, given.port)
    except (PnnlabError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _serve(recording: str, port: int) -> None:
    server = ReplayServer(Replay(exchanges(read_traffic(recording)), in_order=False), port)
    try:
        sys.stdout.write(f"{recording} answers at {server.visa}; end with Ctrl-C\n")
        sys.stdout.flush()
        server.wait()
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
