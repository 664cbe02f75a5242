import os
from contextlib import ExitStack

import hypothesis
import pytest
import requests
import schemathesis
from gateway import running_gateway

GATEWAY = pytest.StashKey[str]()

#: Examples for each operation: a sample in every run, many in a soak run.
EXAMPLES = int(os.environ.get("ATOLL_FUZZ_EXAMPLES") or (1500 if os.environ.get("ATOLL_SOAK") else 60))

hypothesis.settings.register_profile(
    "atoll",
    max_examples=EXAMPLES,
    # The same requests in each run, so that a failure is one of the change under test.
    derandomize=not os.environ.get("ATOLL_SOAK"),
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("atoll")


@pytest.fixture(scope="session")
def url(request):
    return request.config.stash[GATEWAY]


@pytest.fixture(scope="session")
def known(url):
    """Something that exists of each kind, so that requests get past "not found"."""
    made = {"podTemplate": {"containers": [{"image": "atoll/debian"}]}}
    sandbox_id = requests.post(f"{url}/v1/sandboxes", json=made, timeout=30).json()["id"]
    sandbox = f"{url}/v1/sandboxes/{sandbox_id}"
    command_id = requests.post(f"{sandbox}/commands", json={"args": ["echo", "hello"]}, timeout=30).json()["id"]
    requests.get(f"{sandbox}/commands/{command_id}/status", params={"waitSeconds": 20}, timeout=30)
    requests.post(f"{sandbox}/filesystem", params={"path": "/file"}, data=b"x", timeout=30)
    snapshot = requests.post(f"{url}/v1/rootfs-snapshots", json={"sandboxId": sandbox_id}, timeout=30).json()
    yield {"sandbox": sandbox_id, "command": command_id, "snapshot": snapshot.get("id", sandbox_id)}
    requests.delete(sandbox, timeout=30)


def pytest_configure(config):
    # The document decides which tests there are, so the gateway runs before they are collected.
    opened = ExitStack()
    config.add_cleanup(opened.close)
    config.stash[GATEWAY] = opened.enter_context(running_gateway())


def pytest_generate_tests(metafunc):
    if "operation" not in metafunc.fixturenames:
        return
    schema = schemathesis.openapi.from_url(f"{metafunc.config.stash[GATEWAY]}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    metafunc.parametrize("operation", operations, ids=[f"{o.method.upper()} {o.path}" for o in operations])
