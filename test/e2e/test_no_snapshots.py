import pytest
from isola import SnapshotRootfs, ValidationError

pytestmark = pytest.mark.no_snapshots


def test_taking_one_is_refused(client):
    with pytest.raises(ValidationError, match="not supported by this installation"):
        client.rootfs_snapshots.create(sandbox_id="absent")


def test_starting_from_one_is_refused(make):
    with pytest.raises(ValidationError, match="leave rootfsSnapshotName out"):
        make(rootfs_snapshot_name="base")


def test_one_at_the_end_is_refused(make):
    with pytest.raises(ValidationError, match="use terminationPolicy Delete"):
        make(termination_policy=SnapshotRootfs())
