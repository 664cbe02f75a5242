"""Makes in a container what gVisor leaves out of snapshots, and beside each kind something like it that it keeps."""

import os
import socket
import struct

os.mkdir("/srv/lossy")
os.chdir("/srv/lossy")
for name in ("empty", "bytes", "text", "capability", "kept-capability"):
    open(name, "w").close()
socket.socket(socket.AF_UNIX).bind("socket")
os.link("socket", "linked")
socket.socket(socket.AF_UNIX).bind("/tmp/elsewhere")
os.mkfifo("fifo")
os.setxattr("empty", "user.empty", b"")
os.setxattr("bytes", "user.bytes", b"\xff")
os.setxattr("/etc/profile", "user.bytes", b"\x80")
os.setxattr("text", "user.text", "\u00fc".encode())
for name, number in (("capability", 7), ("kept-capability", 10)):
    os.setxattr(name, "security.capability", struct.pack("<5I", 0x02000001, 1 << number, 0, 0, 0))
os.chmod("/", 0o751)
