import uuid

import pytest
from isola import (
    ConflictError,
    Container,
    IsolaError,
    NotFoundError,
    SandboxStatus,
    SnapshotRootfs,
    ValidationError,
)

PATH = "/v1/rootfs-snapshots"


pytestmark = pytest.mark.snapshots


@pytest.fixture
def snapshots(client):
    return client.rootfs_snapshots


@pytest.fixture
def name():
    return f"e2e-{uuid.uuid4()}"


def test_what_was_there_is_there_again(snapshots, make, name):
    sandbox = make()
    sandbox.filesystem.write("/srv/deep/kept", "yes")
    sandbox.filesystem.write("/tmp/lost", "no")
    snapshot = snapshots.create(sandbox_id=sandbox.id, snapshot_name=name)
    assert (snapshot.status, snapshot.snapshot_name, snapshot.sandbox_id) == ("Succeeded", name, sandbox.id)
    assert (snapshot.timeout_seconds, snapshot.ttl_seconds_after_finished) == (300, 300)
    assert snapshots.get(snapshot.id).status == "Succeeded"
    sandbox.delete()
    restored = make(rootfs_snapshot_name=name)
    assert [c.rootfs_snapshot_name for c in restored.containers] == [name]
    assert restored.filesystem.read("/srv/deep/kept") == b"yes"
    with pytest.raises(NotFoundError):
        restored.filesystem.read("/tmp/lost")


def test_a_snapshot_without_a_name_bears_the_sandboxs(snapshots, make):
    sandbox = make()
    snapshot = snapshots.create(sandbox_id=sandbox.id, timeout_seconds=120, ttl_seconds_after_finished=0)
    assert snapshot.snapshot_name == sandbox.id
    assert (snapshot.timeout_seconds, snapshot.ttl_seconds_after_finished) == (120, 0)


def test_each_container_has_its_own(snapshots, make, image, name):
    both = make(containers=[Container(name="a", image=image), Container(name="b", image=image)])
    for container in ("a", "b"):
        both.filesystem.write("/srv/me", container, container=container)
    assert snapshots.create(sandbox_id=both.id, snapshot_name=f"{name}-a").container_name == "a"
    snapshots.create(sandbox_id=both.id, snapshot_name=f"{name}-b", container_name="b")
    restored = make(
        containers=[
            Container(name="a", image=image, rootfs_snapshot_name=f"{name}-b"),
            Container(name="b", image=image, rootfs_snapshot_name=f"{name}-a"),
        ]
    )
    assert restored.filesystem.read("/srv/me", container="a") == b"b"
    assert restored.filesystem.read("/srv/me", container="b") == b"a"


def test_max_wait_seconds_0_does_not_wait_for_ever(snapshots, make, name, eventually):
    sandbox = make()
    snapshot = snapshots.create(sandbox_id=sandbox.id, snapshot_name=name, max_wait_seconds=0)
    eventually(lambda: snapshots.get(snapshot.id).status == "Succeeded", seconds=60)


@pytest.mark.parametrize("container", [None, "none"])
def test_what_cannot_be_taken_fails(snapshots, make, container):
    sandbox_id = "absent" if container is None else make().id
    with pytest.raises(IsolaError, match="Failed"):
        snapshots.create(sandbox_id=sandbox_id, container_name=container)


def test_an_unknown_record_is_not_found(snapshots):
    with pytest.raises(NotFoundError):
        snapshots.get("aaaaaaaaaaaaaaaaaaaaaa")


@pytest.mark.parametrize("options", [{"snapshot_name": "../x"}, {"snapshot_name": "a" * 60}, {"timeout_seconds": 0}])
def test_bad_requests_are_refused(snapshots, box, options):
    with pytest.raises(ValidationError):
        snapshots.create(sandbox_id=box.id, **options)


def test_a_snapshot_that_comes_later_is_waited_for(snapshots, client, make, name, eventually):
    source = make()
    source.filesystem.write("/srv/kept", "yes")
    early = make(rootfs_snapshot_name=name, max_wait_seconds=0)
    assert early.status == SandboxStatus.PENDING
    snapshots.create(sandbox_id=source.id, snapshot_name=name)
    eventually(lambda: client.sandboxes.get(early.id).status == SandboxStatus.RUNNING, seconds=60)
    assert early.filesystem.read("/srv/kept") == b"yes"


def test_a_snapshot_at_the_end_is_there_afterwards(http, make, name):
    sandbox = make(termination_policy=SnapshotRootfs(snapshot_name=name, timeout_seconds=60))
    policy = http.get(f"/v1/sandboxes/{sandbox.id}").json()["terminationPolicy"]
    assert policy == {"type": "SnapshotRootfs", "snapshotRootfs": {"snapshotName": name, "timeoutSeconds": 60}}
    sandbox.filesystem.write("/srv/last", "words")
    sandbox.delete()
    assert make(rootfs_snapshot_name=name).filesystem.read("/srv/last") == b"words"
    with pytest.raises((ConflictError, NotFoundError)):
        sandbox.commands.run("true")


def test_records_are_listed_and_removed_with_what_they_wrote(snapshots, http, make, name):
    sandbox = make()
    ids = [snapshots.create(sandbox_id=sandbox.id, snapshot_name=name).id for _ in range(3)]
    seen, query = [], {"snapshotName": name, "limit": 2}
    while query:
        page = http.get(PATH, params=query).json()
        seen += [record["id"] for record in page["rootfsSnapshots"]]
        query = {**query, "after": page["next"]} if "next" in page else None
    assert seen == ids
    assert make(rootfs_snapshot_name=name).status == SandboxStatus.RUNNING
    for snapshot_id in ids:
        assert http.delete(f"{PATH}/{snapshot_id}").status_code == 204
        with pytest.raises(NotFoundError):
            snapshots.get(snapshot_id)
    assert make(rootfs_snapshot_name=name, max_wait_seconds=0).status == SandboxStatus.PENDING
