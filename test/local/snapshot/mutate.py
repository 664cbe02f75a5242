"""Changes folders of a root at random in all ways that a snapshot has to keep. Arguments: seed, number of changes, folders."""
import os, random, shutil, stat, struct, sys

seed, steps = int(sys.argv[1]), int(sys.argv[2])
pick = random.Random(seed)
FIELDS = [os.fsencode(folder) for folder in sys.argv[3:]]
# Names in a listing are cut beyond this.
DEEPEST = 3000
NAMES = [b"a", b"b", b"file", b"x" * 255, b"new\nline", b" lead", b"tail ", b"eq=ual", b"\xff\xfe\x80", b".wh.x", b"back\\slash", "ü".encode(), b"PaxHeaders.0", b"..."]

for field in FIELDS:
    os.makedirs(field, exist_ok=True)

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
        names = sorted(e.path for e in os.scandir(at) if want(e.stat(follow_symlinks=False).st_mode))
        if names:
            return pick.choice(names)
    return None

def fresh():
    """A name that is free."""
    for _ in range(50):
        at = os.path.join(folders(), pick.choice(NAMES) if pick.random() < 0.5 else b"n%d" % pick.randrange(10**6))
        if not os.path.lexists(at):
            return at
    return FIELDS[0] + b"/z%d" % pick.randrange(10**9)

def write(path):
    size = pick.choice([0, 1, 511, 512, 4096, 4097, 70_000, 300_000])
    with open(path, "wb") as file:
        if pick.random() < 0.2:
            file.seek(pick.randrange(2_000_000))
        file.write(pick.randbytes(size))

def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.remove(path)

def make_device(path):
    os.mknod(path, pick.choice([stat.S_IFCHR, stat.S_IFBLK]) | 0o600, os.makedev(pick.randrange(1, 4000), pick.randrange(1, 90000)))

def overwrite():
    path = things(stat.S_ISREG)
    if path is None:
        return
    with open(path, "r+b") as file:
        what = pick.randrange(3)
        if what == 0:
            file.truncate(pick.randrange(100_000))
        else:
            file.seek(0, os.SEEK_END if what == 1 else os.SEEK_SET)
            file.write(pick.randbytes(pick.randrange(5000)))

def link():
    path = things(lambda mode: not stat.S_ISDIR(mode))
    if path is not None:
        os.link(path, fresh(), follow_symlinks=False)

def rename():
    path, target = things(), fresh()
    if path is not None and path not in FIELDS and not target.startswith(path + b"/"):
        os.rename(path, target)

def replace():
    """A file becomes a folder, a folder a file, a folder another of its name."""
    path = things()
    if path is None or path in FIELDS:
        return
    remove(path)
    what = pick.randrange(3)
    if what == 0:
        write(path)
        return
    os.mkdir(path)
    if what == 1:
        write(os.path.join(path, b"inside"))

def attribute():
    path = things(lambda mode: stat.S_ISREG(mode) or stat.S_ISDIR(mode))
    if path is not None:
        os.setxattr(path, "user.%s" % pick.choice(["a", "b", "long"]), b"v" * pick.choice([1, 10, 5000]))

def acl():
    path = things(stat.S_ISDIR)
    if path is not None:
        entries = ((1, 7, 2**32 - 1), (2, 5, pick.randrange(5000)), (4, 5, 2**32 - 1), (16, 7, 2**32 - 1), (32, 5, 2**32 - 1))
        os.setxattr(path, "system.posix_acl_default", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries))

def remove_some():
    path = things()
    if path is not None and path not in FIELDS:
        remove(path)

def change(act):
    path = things(lambda mode: not stat.S_ISLNK(mode))
    if path is not None:
        act(path)

CHANGES = [
    (10, lambda: write(fresh())),
    (6, lambda: os.mkdir(fresh())),
    (4, lambda: os.symlink(pick.choice([b"a", b"/etc/passwd", b"../" * 40, b"\xff" * 50, b"t" * 4000]), fresh())),
    (5, link),
    (2, lambda: os.mkfifo(fresh())),
    (1, lambda: make_device(fresh())),
    (8, overwrite),
    (6, rename),
    (5, replace),
    (5, remove_some),
    (4, lambda: change(lambda path: os.chmod(path, pick.choice([0o400, 0o644, 0o755, 0o4755, 0o2770, 0o1777, 0])))),
    (3, lambda: change(lambda path: os.chown(path, pick.randrange(2**22), pick.randrange(2**31)))),
    (4, lambda: change(lambda path: os.utime(path, (0, pick.randrange(1, 2**33))))),
    (3, attribute),
    (1, acl),
]

for _ in range(steps):
    try:
        pick.choices([act for _, act in CHANGES], [weight for weight, _ in CHANGES])[0]()
    except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError):
        # What was picked lies below something that has just gone, or links may not be made to it.
        pass
    except OSError as error:
        if error.errno not in (36, 40, 95, 18):
            raise
