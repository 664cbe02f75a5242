"""Says all that is known of each file of the root, or of the folders that are its arguments, as JSON by argument and path: each path where the nearest argument above it is; times to the second, as snapshots keep them."""
import hashlib, json, os, stat, sys

sys.setrecursionlimit(5000)
found, links = {}, {}
# Later times are not kept: the year 2262.
LAST = 2**63 // 10**9

def key(path):
    return path if len(path) <= 300 else path[:40] + "..." + path[-200:] + hashlib.sha1(path.encode()).hexdigest()

def facts(path, fd, name):
    st = os.stat(name, dir_fd=fd, follow_symlinks=False)
    one = {"mode": oct(st.st_mode), "owner": [st.st_uid, st.st_gid], "time": min(round(st.st_mtime_ns / 1e9), LAST)}
    kind = stat.S_IFMT(st.st_mode)
    if kind == stat.S_IFREG:
        one["size"] = st.st_size
        handle = os.open(name, os.O_RDONLY, dir_fd=fd)
        with os.fdopen(handle, "rb") as file:
            one["sum"] = hashlib.file_digest(file, "sha1").hexdigest()
    if kind == stat.S_IFLNK:
        one["target"] = os.fsencode(os.readlink(name, dir_fd=fd)).decode("latin1")
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        one["device"] = st.st_rdev
    if kind != stat.S_IFDIR:
        links.setdefault((st.st_dev, st.st_ino), []).append((path, one))
    if len(path) < 4000:
        where = path.encode("latin1")
        keys = [*os.listxattr(where, follow_symlinks=False), "system.posix_acl_access", "system.posix_acl_default"]
        values = {}
        for key in keys:
            try:
                values[key] = hashlib.sha1(os.getxattr(where, key, follow_symlinks=False)).hexdigest()
            except OSError:
                pass
        one["attributes"] = values
    return one, kind

def walk(path, fd, listed):
    for name in sorted(os.fsencode(name) for name in os.listdir(fd)):
        below = path + "/" + name.decode("latin1")
        # Other file systems are mounted there.
        if below in starts or below in ("/proc", "/sys", "/dev", "/tmp", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname"):
            continue
        listed[key(below)], kind = facts(below, fd, name)
        if kind == stat.S_IFDIR:
            folder = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=fd)
            walk(below, folder, listed)
            os.close(folder)

starts = sys.argv[1:] or ["/"]
for start in filter(os.path.isdir, starts):
    root = os.open(start, os.O_RDONLY)
    listed = found[start] = {start: facts(start, root, ".")[0]}
    walk("" if start == "/" else start, root, listed)
    os.close(root)
# Which names are one file; a count of links tells of names that were removed, too, where a layer lies above.
for names in links.values():
    for _, one in names if len(names) > 1 else []:
        one["links"] = sorted(key(path) for path, _ in names)
print(json.dumps(found, sort_keys=True))
