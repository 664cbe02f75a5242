"""Makes in a container whatever a file system can hold, and changes its image in all ways that there are."""

import os
import shutil
import socket
import stat
import struct


def write(path, data=b"x"):
    with open(path, "wb") as file:
        file.write(data)


def set_xattr(path, name, value):
    write(path) if not os.path.lexists(path) else None
    os.setxattr(path, name, value)


def access_list(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)


os.mkdir("/t")
os.chdir("/t")

# Modes, owners, times.
for mode in (0o000, 0o644, 0o4755, 0o2755, 0o1777, 0o7777):
    write(f"mode{mode:o}")
    os.chmod(f"mode{mode:o}", mode)
os.mkdir("sticky")
os.chmod("sticky", 0o1777)
write("owner")
os.chown("owner", 1234, 5678)
write("big-owner")
os.chown("big-owner", 2**21 + 5, 4294967290)
for name, seconds in (("past", -5), ("early", 5), ("late", 2**33), ("beyond", 9_999_999_999)):
    write(name)
    os.utime(name, ns=(0, seconds * 10**9))

# Links.
os.symlink("plain", "symlink")
os.symlink("/" + "c/" * 2000, "symlink-long")
os.symlink(b"\xff\xfe\x80", b"symlink-bytes")
os.symlink("new\nline", "symlink-line")
os.lchown("symlink-long", 7, 8)
write("hard", b"hard")
os.link("hard", "hard2")
os.mkdir("links")
os.link("hard", "links/hard3")
os.link("symlink", "symlink2", follow_symlinks=False)
os.mkfifo("fifo", 0o640)
os.link("fifo", "fifo2")
os.link("/etc/passwd", "image-link")

# Holes and data.
with open("hole-before", "wb") as file:
    file.seek(8 << 20)
    file.write(b"end")
with open("hole-after", "wb") as file:
    file.write(b"head")
    file.truncate(8 << 20)
with open("hole", "wb") as file:
    file.truncate(5 << 20)
with open("holes", "wb") as file:
    for index in range(50):
        file.seek(index * 3 * 4096 + 17)
        file.write(b"%d" % index)
write("large", bytes(range(256)) * 8192 + b"odd")
write("empty", b"")

# Names.
write("n" * 255)
write("ü" * 127)
for index, name in enumerate(
    [b"new\nline", b"cr\r", b"tab\t", b"\xff\xfe\x80", b"blank ", b" blank", b"-rf", b"back\\slash", b'"', b"eq=ual"]
    + [b"*?[", b"\x01\x7f", b"..hidden", b"...", b"PaxHeaders.0", b"\xc3\x28", b"100 path=x", b".wh.x", b"\xf0\x9f\x98\x80"]
):
    write(b"/t/" + name, b"%d" % index)
os.mkdir(b"\xfe\xfd")
write(b"\xfe\xfd/\xfd")
deep = os.open("/t", os.O_RDONLY)
for _ in range(25):
    os.mkdir("d" * 200, dir_fd=deep)
    deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=deep)
    os.close(deep)
    deep = deeper
os.close(os.open("leaf", os.O_CREAT, 0o600, dir_fd=deep))
os.makedirs("folders/empty/empty")

# Attributes.
for name, value in (("a", b"value"), ("nul", b"a\0b"), ("line", b"a\nb"), ("\u00fc", b"u"), ("big", b"z" * 60000)):
    set_xattr("xattr", f"user.{name}", value)
set_xattr("xattr-lost", "user.empty", b"")
set_xattr("xattr-lost", "user.bytes", b"\xff\x80")
os.mkdir("xattr-folder")
set_xattr("xattr-folder", "user.overlay.opaque", b"y")
set_xattr("capability", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0))
entries = [(1, 6, 2**32 - 1), (2, 6, 1000), (4, 4, 2**32 - 1), (0x10, 6, 2**32 - 1), (0x20, 4, 2**32 - 1)]
set_xattr("access", "system.posix_acl_access", access_list(*entries))
os.mkdir("default-access")
set_xattr("default-access", "system.posix_acl_default", access_list(*entries))

# Devices and sockets.
os.mknod("character", stat.S_IFCHR | 0o640, os.makedev(1, 3))
os.mknod("block", stat.S_IFBLK | 0o600, os.makedev(7, 200))
os.mknod("big-numbers", stat.S_IFCHR | 0o600, os.makedev(300, 70000))
socket.socket(socket.AF_UNIX).bind("socket")

# Changes of the image.
shutil.rmtree("/usr/share/perl5")
os.mkdir("/usr/share/perl5")
write("/usr/share/perl5/own")
shutil.rmtree("/usr/share/doc")
os.mkdir("/usr/share/doc")
shutil.rmtree("/usr/share/locale")
os.remove("/etc/issue")
os.remove("/etc/debian_version")
os.mkdir("/etc/debian_version")
shutil.rmtree("/etc/skel")
write("/etc/skel")
os.rename("/etc/issue.net", "/etc/issue.other")
os.rename("/usr/share/bash-completion", "/usr/share/completion")
os.chmod("/etc/bash.bashrc", 0o600)
os.chown("/etc/profile", 9, 9)
os.utime("/etc/shells", ns=(1, 10**9))
os.chmod("/opt", 0o700)
with open("/etc/passwd", "ab") as file:
    file.write(b"#\n")
