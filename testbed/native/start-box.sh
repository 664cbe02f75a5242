#!/bin/sh
# Enters the box's control groups and namespaces, then runs the words it is given as its first process.
# TESTBED_GROUPS: the groups to join, one in each hierarchy. TESTBED_LEAF: on version 2 a group inside, for
# programs of the node: a group that shares out its controllers has no processes of its own.
set -eu
for group in $TESTBED_GROUPS; do echo 0 >"$group/cgroup.procs"; done
# shellcheck disable=SC2016
exec unshare --cgroup sh -c '
  [ -z "$TESTBED_LEAF" ] || echo 0 >"$TESTBED_LEAF/cgroup.procs"
  exec unshare --pid --mount --propagation private --net --uts --ipc --fork --kill-child "$@"
' sh "$@"
