"""The gateway under test: the one of ATOLL_TEST_URL, else one that `./atoll up` starts."""

import json
import os
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SET_UP_TIMEOUT_SECONDS = 1800


@contextmanager
def running_gateway():
    given = os.environ.get("ATOLL_TEST_URL")
    if given:
        yield given.rstrip("/")
        return
    # What snapshots write outlives their records: it is not to be left in the store of this machine.
    with tempfile.TemporaryDirectory(prefix="atoll-e2e-store-") as store:
        up = ("up", "--detach", "--no-first", "--port", str(_free_port()))
        events = _atoll(*up, environment={"ATOLL_SNAPSHOT_STORE": f"file://{store}"})
        url = next(event["url"] for event in events if event.get("event") in ("already-up", "usage"))
        try:
            yield url
        finally:
            # A gateway that was up before the tests is somebody else's.
            if not any(event.get("event") == "already-up" for event in events):
                _atoll("down")


def _atoll(*words, environment={}):
    done = subprocess.run(
        [ROOT / "atoll", *words, "--json"],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SET_UP_TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, f"atoll {' '.join(words)} failed: {done.stdout}{done.stderr}"
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
