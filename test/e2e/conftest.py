import os
import time

import httpx
import pytest
from both import Blocking, Loop
from gateway import running_gateway
from isola import AsyncIsola, Isola

#: Debian with python3; every test machine has it.
IMAGE = os.environ.get("ATOLL_TEST_IMAGE", "atoll/debian")


#: Whether the gateway under test takes snapshots: one that these tests start does, of others it has to be said.
TAKES_SNAPSHOTS = os.environ.get("ATOLL_TEST_SNAPSHOTS", "" if os.environ.get("ATOLL_TEST_URL") else "1")

#: Tests that are left out, by their mark: what is not asked for, and what the gateway under test cannot do.
LEFT_OUT = {
    *([] if os.environ.get("ATOLL_SOAK") else ["soak"]),
    "no_snapshots" if TAKES_SNAPSHOTS else "snapshots",
}


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in LEFT_OUT)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def url():
    with running_gateway() as address:
        yield address


@pytest.fixture(scope="session")
def image():
    return IMAGE


@pytest.fixture(scope="session", params=["sync", "async"])
def connect(request):
    """Opens a client, of either kind, on an address."""
    if request.param == "sync":
        yield lambda address: Isola(url=address)
        return
    loop = Loop()
    yield lambda address: Blocking(loop, loop.wait(_open(address)))
    loop.close()


async def _open(address):
    return AsyncIsola(url=address)


@pytest.fixture(scope="session")
def client(connect, url):
    with connect(url) as opened:
        yield opened


@pytest.fixture(scope="session")
def box(client, image):
    """One sandbox for all tests that leave it as they found it."""
    with client.sandboxes.create(image=image) as sandbox:
        yield sandbox


@pytest.fixture
def make(client, image):
    """Makes sandboxes that are gone after the test."""
    made = []

    def create(**options):
        if "containers" not in options:
            options.setdefault("image", image)
        sandbox = client.sandboxes.create(**options)
        made.append(sandbox)
        return sandbox

    yield create
    for sandbox in made:
        sandbox.delete()


@pytest.fixture(scope="session")
def http(url):
    """The API without a client, for what the client does not show."""
    with httpx.Client(base_url=url, timeout=30) as opened:
        yield opened


@pytest.fixture
def eventually():
    """Waits until a check holds, and fails with what it last saw."""

    def wait(check, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            seen = check()
            if seen:
                return seen
            assert time.monotonic() < deadline, f"after {seconds} s still: {seen!r}"
            time.sleep(0.05)

    return wait
