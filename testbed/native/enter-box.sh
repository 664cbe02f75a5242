#!/bin/sh
# First process of the box: lays out a machine of its own and becomes its supervisor.
# Runs in new process, mount, network, host name, IPC and control group namespaces, so that all it
# makes ends with it. The environment names what it needs: TESTBED_ROOT, TESTBED_STATE,
# TESTBED_PROGRAMS, TESTBED_CNI, TESTBED_REPO, TESTBED_NODE_NAME, TESTBED_PATH, TESTBED_CGROUP.
set -eu

hostname "$TESTBED_NODE_NAME"

# The machine's own files, under a layer in memory: what is written here is seen by nobody outside.
box=$TESTBED_STATE/box
mount -t tmpfs -o mode=755 testbed "$box"
mkdir "$box/upper" "$box/work" "$box/root"
mount -t overlay -o "lowerdir=/,upperdir=$box/upper,workdir=$box/work" testbed "$box/root"
root=$box/root

# A container runtime that the machine has by chance is not on this node.
rm -f "$root"/usr/bin/runsc "$root"/usr/bin/containerd-shim-runsc-v1 "$root"/usr/sbin/runsc

for dir in tmp run usr/local etc/containerd etc/cni opt/cni var/lib/cni var/lib/kubelet var/lib/containerd var/lib/etcd \
  var/lib/registry var/log/pods var/log/containers opt/testbed/bin etc/testbed; do
  mkdir -p "$root/$dir"
done
for dir in run usr/local etc/containerd etc/cni opt/cni var/lib/cni; do
  mount -t tmpfs -o mode=755 testbed "$root/$dir"
done
mount -t tmpfs -o mode=1777 testbed "$root/tmp"
mkdir -p "$root/usr/local/bin" "$root/usr/local/sbin" "$root/etc/cni/net.d" "$root/opt/cni/bin" "$root/run/lock"

# The machine's own may lie where the node's folder for additions covers it.
cp "$(PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin && command -v runc)" "$root/usr/local/sbin/runc"

# The state of kubelet and containerd is too large for memory, and containerd's layers need a real file system.
for dir in var/lib/kubelet var/lib/containerd var/lib/etcd var/lib/registry var/log/pods var/log/containers; do
  mkdir -p "$TESTBED_STATE/node/$dir"
  mount --bind "$TESTBED_STATE/node/$dir" "$root/$dir"
done
# The checkout and the testbed's folder may lie on file systems of their own.
mkdir -p "$root$TESTBED_REPO" "$root$TESTBED_ROOT"
mount --bind "$TESTBED_REPO" "$root$TESTBED_REPO"
mount -o remount,bind,ro "$root$TESTBED_REPO"
mount --bind "$TESTBED_ROOT" "$root$TESTBED_ROOT"
mount --bind "$TESTBED_PROGRAMS" "$root/opt/testbed/bin"
mount --bind "$TESTBED_STATE/config" "$root/etc/testbed"
# Elsewhere these may be links to what runs there.
rm -f "$root/etc/resolv.conf" "$root/etc/hosts" "$root/etc/hostname"
cp -r "$TESTBED_STATE/etc/." "$root/etc/"
cp "$TESTBED_CNI"/* "$root/opt/cni/bin/"

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --bind /dev "$root/dev"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue" 2>/dev/null || true

# Control groups as the box sees them: its own group is the root of each hierarchy.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup "$root/sys/fs/cgroup"
  for controller in $(cat "$root/sys/fs/cgroup/cgroup.controllers"); do
    # One that cannot be shared out is missed by kubelet, which says so.
    echo "+$controller" >"$root/sys/fs/cgroup/cgroup.subtree_control" || :
  done
else
  mount -t tmpfs -o mode=755 cgroup "$root/sys/fs/cgroup"
  for mounted in /sys/fs/cgroup/*; do
    name=${mounted##*/}
    if [ -h "$mounted" ]; then cp -P "$mounted" "$root/sys/fs/cgroup/"; fi
    [ -d "$mounted/$TESTBED_CGROUP" ] && [ ! -h "$mounted" ] || continue
    mkdir "$root/sys/fs/cgroup/$name"
    case $name in
    unified) mount -t cgroup2 cgroup "$root/sys/fs/cgroup/$name" ;;
    systemd) mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/$name" ;;
    *) mount -t cgroup -o "$name" cgroup "$root/sys/fs/cgroup/$name" ;;
    esac
  done
fi

# kubelet wants these values of the kernel. They are the whole machine's, so it finds them in files instead.
mkdir "$root/run/kernel"
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  file=$root/run/kernel/$(echo "${setting%=*}" | tr / .)
  echo "${setting#*=}" >"$file"
  [ ! -f "$root/proc/sys/${setting%=*}" ] || mount --bind "$file" "$root/proc/sys/${setting%=*}"
done

mkdir -p "$root/run/old"
cd "$root"
pivot_root . run/old
cd /
umount -l /run/old
rmdir /run/old
# Pods share mounts with the node where they ask for it.
mount --make-rshared /

ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
export PATH="$TESTBED_PATH" HOME=/root
exec "$TESTBED_PROGRAMS/pause" "$@"
