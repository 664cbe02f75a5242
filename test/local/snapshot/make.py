"""Changes an atoll/debian root in every way that a snapshot has to keep."""
import os, shutil, stat, struct

def put(path, data=b"x"):
    with open(path, "wb") as file:
        file.write(data)

os.mkdir("/t")
os.chdir("/t")
for mode in (0o000, 0o644, 0o4755, 0o2755, 0o1777, 0o7777):
    put(f"mode{mode:o}")
    os.chmod(f"mode{mode:o}", mode)
put("owned")
os.chown("owned", 2**21 + 5, 4294967290)
for name, ns in (("old", 1_222_222_222_000000000), ("before-1970", -5_000000000), ("far", 9_999_999_999_000000000)):
    put(name)
    os.utime(name, ns=(ns, ns))
for name, target in (("s1", "owned"), ("s300", "b" * 300), ("s4095", "d" * 4095)):
    os.symlink(target, name)
os.symlink(b"\xff\xfe\x80", b"s-bytes")
put("h1", b"hard")
os.link("h1", "h2")
os.mkdir("hd")
os.link("h1", "hd/h3")
os.mkfifo("p1")
os.link("p1", "p2")
with open("hole", "wb") as file:
    file.seek(64 << 20)
    file.write(b"end")
put("n" * 255)
for index, name in enumerate([b"new\nline", b"\xff\xfebin", b"sp ace ", b" lead", b"back\\slash", b"eq=ual", b"\x01ctl\x7f", b".wh.x", b".wh..wh..opq", b"PaxHeaders.0"]):
    put(b"/t/" + name, b"n%d" % index)
os.mkdir(b"/t/\xfe\xfddir")
put(b"/t/\xfe\xfddir/\xfd")
deep = os.open("/t", os.O_RDONLY)
for _ in range(40):
    os.mkdir("x" * 200, dir_fd=deep)
    deep = os.open("x" * 200, os.O_RDONLY, dir_fd=deep)
os.close(os.open("leaf", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=deep))
shutil.rmtree("/usr/share/perl5")
os.mkdir("/usr/share/perl5")
put("/usr/share/perl5/mine")
os.remove("/etc/issue")
shutil.rmtree("/etc/skel")
put("/etc/skel")
os.remove("/etc/debian_version")
os.mkdir("/etc/debian_version")
os.rename("/usr/share/bash-completion", "/usr/share/renamed")
os.link("/etc/passwd", "/t/of-the-image")
os.chmod("/etc/bash.bashrc", 0o600)
os.chown("/etc/profile", 9, 9)
os.chmod("/", 0o751)
os.chown("/", 5, 6)
put("attributes", b"a" * 9000)
os.setxattr("attributes", "user.color", b"blue")
os.setxattr("attributes", "user.long", b"z" * 60_000)
os.link("attributes", "attributes2")
put("ping")
os.setxattr("ping", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
anyone = 0xFFFFFFFF
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in ((1, 6, anyone), (2, 6, 1000), (4, 4, anyone), (0x10, 6, anyone), (0x20, 4, anyone)))
put("acl")
os.setxattr("acl", "system.posix_acl_access", acl)
os.mkdir("acl-folder")
os.setxattr("acl-folder", "system.posix_acl_default", acl)
os.mknod("char", stat.S_IFCHR | 0o640, os.makedev(1, 3))
os.mknod("block", stat.S_IFBLK | 0o600, os.makedev(7, 200))
put("big", bytes(range(256)) * 20_000)
