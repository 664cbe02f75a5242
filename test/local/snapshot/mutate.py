"""Changes folders of a root at random in all ways that a snapshot has to keep, and says how often in which. Arguments: number of changes; as JSON, the seed and the folders of each tree, which has nothing in common with the others."""
import collections, json, os, random, shutil, stat, struct, sys

pick = random.Random()
FIELDS = []
# Names in a listing are cut beyond this.
DEEPEST = 3000
NAMES = [b"a", b"b", b"file", b"x" * 255, b"new\nline", b" lead", b"tail ", b"eq=ual", b"\xff\xfe\x80", b".wh.x", b"back\\slash", "ü".encode(), b"PaxHeaders.0", b"..."]

def folders():
    """A folder, reached by a random walk."""
    at = pick.choice(FIELDS)
    if not os.path.isdir(at) or os.path.islink(at):
        return FIELDS[0]
    while pick.random() < 0.6 and len(at) < DEEPEST:
        below = [e.path for e in os.scandir(at) if e.is_dir(follow_symlinks=False)]
        if not below:
            break
        at = pick.choice(sorted(below))
    return at

def things(want=lambda mode: True):
    """Something that is there."""
    for _ in range(20):
        at = folders()
        names = sorted(os.listdir(at))
        for name in pick.sample(names, min(4, len(names))):
            path = os.path.join(at, name)
            if want(os.lstat(path).st_mode):
                return path
    raise FileNotFoundError

def fresh():
    """A name that is free."""
    for _ in range(50):
        at = os.path.join(folders(), pick.choice(NAMES) if pick.random() < 0.5 else b"n%d" % pick.randrange(10**6))
        if not os.path.lexists(at):
            return at
    return FIELDS[0] + b"/z%d" % pick.randrange(10**9)

def write(path):
    with open(path, "wb") as file:
        file.write(pick.randbytes(pick.choice([0, 1, 511, 512, 4096, 4097, 70_000, 300_000])))

def write_holes(path):
    with open(path, "wb") as file:
        for _ in range(pick.randrange(4)):
            file.seek(pick.randrange(500_000))
            file.write(pick.randbytes(pick.randrange(1, 9000)))
        file.truncate(pick.randrange(1, 600_000))

def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)

def make_device(path):
    os.mknod(path, pick.choice([stat.S_IFCHR, stat.S_IFBLK]) | 0o600, os.makedev(pick.randrange(1, 4000), pick.randrange(1, 90000)))

def overwrite():
    with open(things(stat.S_ISREG), "r+b") as file:
        what = pick.randrange(3)
        if what == 0:
            file.truncate(pick.randrange(100_000))
        else:
            file.seek(0, os.SEEK_END if what == 1 else os.SEEK_SET)
            file.write(pick.randbytes(pick.randrange(5000)))

def link():
    os.link(things(lambda mode: not stat.S_ISDIR(mode)), fresh(), follow_symlinks=False)

def rename():
    path, target = things(), fresh()
    if target.startswith(path + b"/"):
        raise FileNotFoundError
    os.rename(path, target)

def replace():
    """A file becomes a folder, a folder a file, a folder another of its name."""
    path = things()
    remove(path)
    what = pick.randrange(3)
    if what == 0:
        write(path)
        return
    os.mkdir(path)
    if what == 1:
        write(os.path.join(path, b"inside"))

def set_attribute():
    path = things(lambda mode: stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    os.setxattr(path, "user.%s" % pick.choice(["a", "b", "long"]), b"v" * pick.choice([1, 10, 5000]))

def set_acl():
    entries = ((1, 7, 2**32 - 1), (2, 5, pick.randrange(5000)), (4, 5, 2**32 - 1), (16, 7, 2**32 - 1), (32, 5, 2**32 - 1))
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)
    os.setxattr(things(stat.S_ISDIR), "system.posix_acl_default", value)

def set_capability():
    """Of those that gVisor keeps: no byte of the value is beyond ASCII."""
    value = struct.pack("<IIIII", 0x02000001, 1 << pick.choice([0, 1, 3, 10, 12, 18]), 0, 0, 0)
    os.setxattr(things(stat.S_ISREG), "security.capability", value)

def no_link():
    return things(lambda mode: not stat.S_ISLNK(mode))

CHANGES = {
    "file": (10, lambda: write(fresh())),
    "holes": (2, lambda: write_holes(fresh())),
    "folder": (6, lambda: os.mkdir(fresh())),
    "symlink": (4, lambda: os.symlink(pick.choice([b"a", b"/etc/passwd", b"../" * 40, b"\xff" * 50, b"t" * 4000]), fresh())),
    "link": (5, link),
    "pipe": (2, lambda: os.mkfifo(fresh())),
    "device": (1, lambda: make_device(fresh())),
    "overwrite": (8, overwrite),
    "rename": (6, rename),
    "replace": (5, replace),
    "remove": (5, lambda: remove(things())),
    "mode": (4, lambda: os.chmod(no_link(), pick.choice([0o400, 0o644, 0o755, 0o4755, 0o2770, 0o1777, 0]))),
    "owner": (3, lambda: os.chown(no_link(), pick.randrange(2**22), pick.randrange(2**31))),
    "time": (4, lambda: os.utime(no_link(), (0, pick.randrange(1, 2**33)))),
    "attribute": (3, set_attribute),
    "acl": (1, set_acl),
    "capability": (2, set_capability),
}
WEIGHTS = [weight for weight, _ in CHANGES.values()]

done = collections.Counter({kind: 0 for kind in CHANGES})
for seed, fields in json.loads(sys.argv[2]):
    pick.seed(seed)
    FIELDS[:] = map(os.fsencode, fields)
    for field in FIELDS:
        os.makedirs(field, exist_ok=True)
    for kind in pick.choices(list(CHANGES), WEIGHTS, k=int(sys.argv[1])):
        try:
            CHANGES[kind][1]()
            done[kind] += 1
        except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError):
            # There is nothing of that sort, or what was picked lies below something that has just gone, or links may not be made to it.
            pass
        except OSError as error:
            if error.errno not in (36, 40, 95, 18):
                raise
print(json.dumps(done))
