"""The gateway under test: the one of ATOLL_FUZZ_URL, else one of its own that simulates containers in memory."""

import os
import platform
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[2]
ARCH = "aarch64" if platform.machine() == "aarch64" else "x64"
READY_TIMEOUT_SECONDS = 30


@contextmanager
def running_gateway():
    given = os.environ.get("ATOLL_FUZZ_URL")
    if given:
        yield given.rstrip("/")
        return
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {
        "ATOLL_BACKEND": "memory",
        "ATOLL_LISTEN": f"127.0.0.1:{port}",
        "ATOLL_LOG_LEVEL": "error",
        # A start from a snapshot that never comes need not be waited for.
        "ATOLL_CREATE_WAIT_MS": "100",
    }
    bun = ROOT / f"node_modules/@oven/bun-linux-{ARCH}/bin/bun"
    process = subprocess.Popen([bun, ROOT / "runtime/src/entry/bun.ts"], cwd=ROOT, env={**os.environ, **settings})
    try:
        _until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _until_ready(url, process):
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the gateway ended at start"
        try:
            if requests.get(f"{url}/readyz", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the gateway was not ready within {READY_TIMEOUT_SECONDS} s")


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
