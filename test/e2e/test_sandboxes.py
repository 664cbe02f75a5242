import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from isola import (
    APIConnectionError,
    APIError,
    BadRequestError,
    Container,
    IsolaError,
    Network,
    NotFoundError,
    ResourceList,
    ResourceRequirements,
    SandboxStatus,
    ValidationError,
)


def test_create_answers_with_a_running_sandbox(make, image):
    sandbox = make()
    assert re.fullmatch(r"[a-z][a-z0-9]{21}", sandbox.id)
    assert sandbox.status == SandboxStatus.RUNNING
    assert [(c.name, c.image, c.command, c.resources) for c in sandbox.containers] == [("sandbox0", image, None, None)]
    assert abs(sandbox.creation_timestamp - datetime.now(timezone.utc)) < timedelta(seconds=30)
    assert sandbox.startup_timeout_seconds == 90
    assert sandbox.timeout_seconds is None
    assert sandbox.network is None


def test_create_echoes_its_options_and_never_the_environment(make, http):
    sandbox = make(
        command=["sh", "-c", "echo $WORD > /started; exec sleep infinity"],
        env={"WORD": "secret word"},
        cpu=0.5,
        memory=512,
        ephemeral_storage=1024,
        timeout_seconds=600,
        startup_timeout_seconds=45,
    )
    [container] = sandbox.containers
    amounts = ResourceList(cpu="500m", memory="512Mi", ephemeral_storage="1Gi")
    assert container.resources == ResourceRequirements(limits=amounts, requests=amounts)
    assert container.command == ["sh", "-c", "echo $WORD > /started; exec sleep infinity"]
    assert (sandbox.timeout_seconds, sandbox.startup_timeout_seconds) == (600, 45)
    assert sandbox.commands.run("sh", "-c", "cat /started; echo $WORD").stdout == "secret word\nsecret word\n"
    assert "secret word" not in http.get(f"/v1/sandboxes/{sandbox.id}").text


def test_network_is_echoed_as_sent(make):
    network = Network(
        allow_internet_egress=False,
        allowed_egress_cidrs=["104.16.0.0/12"],
        allow_cluster_dns=False,
        nameservers=["9.9.9.9"],
        allow_ipv6_egress=False,
        egress_rate_limit_bytes_per_second=1_000_000,
    )
    assert make(network=network).network == network


def test_get_and_list_find_a_sandbox(client, make):
    sandbox = make()
    found = client.sandboxes.get(sandbox.id)
    assert (found.id, found.status) == (sandbox.id, SandboxStatus.RUNNING)
    assert found.creation_timestamp == sandbox.creation_timestamp
    [summary] = [entry for entry in client.sandboxes.list() if entry.id == sandbox.id]
    assert (summary.status, summary.creation_timestamp) == (SandboxStatus.RUNNING, sandbox.creation_timestamp)


def test_max_wait_seconds_0_does_not_wait_for_ever(client, make, eventually):
    sandbox = make(max_wait_seconds=0)
    assert sandbox.status in (SandboxStatus.PENDING, SandboxStatus.RUNNING)
    eventually(lambda: client.sandboxes.get(sandbox.id).status == SandboxStatus.RUNNING)


def test_delete_removes_and_may_be_repeated(client, make, eventually):
    sandbox = make()
    sandbox.delete()
    sandbox.delete()

    def gone():
        try:
            return client.sandboxes.get(sandbox.id).status.value == "gone"
        except NotFoundError:
            return True

    eventually(gone)
    assert sandbox.id not in [entry.id for entry in client.sandboxes.list()]
    with pytest.raises(APIError) as raised:
        sandbox.commands.run("true")
    assert raised.value.status_code in (404, 409)


def test_leaving_a_context_deletes(client, image, eventually):
    with client.sandboxes.create(image=image) as sandbox:
        sandbox.delete()
    with client.sandboxes.create(image=image) as sandbox:
        assert sandbox.commands.run("true").exit_code == 0
    eventually(lambda: sandbox.id not in [entry.id for entry in client.sandboxes.list()])


def test_timeout_seconds_ends_the_sandbox(client, make, eventually):
    # In a cluster a lifetime counts from the moment a node takes the pod, a second or two before it runs.
    sandbox = make(timeout_seconds=8)
    started = time.monotonic()

    def ended():
        try:
            return client.sandboxes.get(sandbox.id).status in (SandboxStatus.SUCCEEDED, SandboxStatus.TERMINATING)
        except NotFoundError:
            return True

    eventually(ended, 25)
    assert time.monotonic() - started > 0.5
    with pytest.raises(APIError):
        sandbox.commands.run("true")


@pytest.mark.parametrize(("code", "status"), [(0, "Succeeded"), (3, "Failed")])
def test_the_main_process_decides_how_the_sandbox_ends(http, make, eventually, code, status):
    try:
        sandbox_id = make(command=["sh", "-c", f"exit {code}"]).id
    except IsolaError as error:
        # It ended before the client looked.
        sandbox_id = re.search(r"sandbox (\S+) reached terminal state", str(error)).group(1)
    eventually(lambda: http.get(f"/v1/sandboxes/{sandbox_id}").json().get("status") == status)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"image": "atoll/no-such-image:1"}, {"ImageNotFound", "ImagePullDenied", "ImagePullFailed"}),
        ({"command": ["/no/such/program"]}, {"CommandNotFound"}),
    ],
)
def test_a_start_that_fails_says_why_at_once(http, make, options, reason):
    started = time.monotonic()
    with pytest.raises(IsolaError, match="reached terminal state: Failed") as raised:
        make(**options)
    assert time.monotonic() - started < 30
    sandbox_id = re.search(r"sandbox (\S+) reached", str(raised.value)).group(1)
    failed = http.get(f"/v1/sandboxes/{sandbox_id}").json()
    assert failed["status"] == "Failed"
    assert failed["reason"] in reason
    assert re.fullmatch(r"[^\n]+", failed["message"])
    http.delete(f"/v1/sandboxes/{sandbox_id}")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"containers": []}, ValidationError),
        ({"timeout_seconds": 0}, ValidationError),
        ({"startup_timeout_seconds": 0}, ValidationError),
        ({"network": Network(allowed_egress_cidrs=["10.0.0.0/8"])}, ValidationError),
        ({"network": Network(allowed_egress_cidrs=["everywhere"])}, ValidationError),
        ({"network": Network(nameservers=["1.1.1.1"] * 4)}, ValidationError),
        ({"network": Network(egress_rate_limit_bytes_per_second=0)}, ValidationError),
        ({"rootfs_snapshot_name": "Not A Name"}, ValidationError),
    ],
)
def test_invalid_options_are_refused(make, options, error):
    with pytest.raises(error) as raised:
        make(**options)
    assert raised.value.status_code == 422


@pytest.mark.parametrize("name", ["Upper", "-a", "a" * 64, "under_score"])
def test_invalid_container_names_are_refused(make, image, name):
    with pytest.raises(ValidationError):
        make(containers=[Container(name=name, image=image)])


def test_a_bad_quantity_is_a_bad_request_that_names_it(make, image):
    limits = ResourceRequirements(limits=ResourceList(memory="lots"))
    with pytest.raises(BadRequestError, match="memory"):
        make(containers=[Container(name="a", image=image, resources=limits)])


def test_an_unknown_sandbox_is_not_found(client):
    with pytest.raises(NotFoundError):
        client.sandboxes.get("aaaaaaaaaaaaaaaaaaaaaa")


@pytest.mark.parametrize("name", ["UPPER", "a" * 48, "a/b", "a b"])
def test_an_invalid_sandbox_id_is_refused(client, name):
    with pytest.raises(ValidationError):
        client.sandboxes.get(name)


@pytest.mark.no_snapshots
def test_rootfs_snapshots_are_refused_in_a_sentence(client, box):
    with pytest.raises(APIError) as raised:
        client.rootfs_snapshots.create(sandbox_id=box.id, snapshot_name="base", max_wait_seconds=0)
    assert 400 <= raised.value.status_code < 500
    with pytest.raises(APIError) as raised:
        client.rootfs_snapshots.get("aaaaaaaaaaaaaaaaaaaaaa")
    assert 400 <= raised.value.status_code < 500


def test_many_sandboxes_at_once_are_all_made_and_separate(client, make):
    with ThreadPoolExecutor(8) as pool:
        sandboxes = list(pool.map(lambda _: make(), range(8)))
        assert len({sandbox.id for sandbox in sandboxes}) == 8
        list(pool.map(lambda sandbox: sandbox.filesystem.write("/mine", sandbox.id), sandboxes))
        seen = pool.map(lambda sandbox: sandbox.commands.run("cat", "/mine").stdout, sandboxes)
        assert list(seen) == [sandbox.id for sandbox in sandboxes]


def test_no_server_is_a_connection_error(connect, monkeypatch):
    monkeypatch.setattr("isola._client.RETRY_DELAY", 0.01)
    with connect("http://127.0.0.1:1") as client, pytest.raises(APIConnectionError):
        client.sandboxes.list()
