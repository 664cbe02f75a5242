"""A host of the small internet: answers on the given ports of all its addresses, and notes every packet that reaches it.

argv[1] is JSON: {"watch": [interfaces] or null, "tcp": [ports], "udp": [ports]}. Without interfaces it watches by raw
sockets, which see only what the local firewall let in. A line on standard input makes it print what it saw.
"""
import json, socket, struct, sys, threading, time

HOLE_PORT, UPLOAD_PORT = 7000, 9000
seen = set()


def note(protocol, body):
    """The sender of the test marks each flow by its source port, or by the id of an echo request."""
    if protocol in (6, 17, 253):
        seen.add("%d:%d" % (protocol, struct.unpack("!H", body[:2])[0]))
    elif (protocol, body[0]) in ((1, 8), (58, 128)):
        seen.add("%d:%d" % (protocol, struct.unpack("!H", body[4:6])[0]))


def watch_interface(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
    s.bind((name, 3))
    while True:
        packet, (_, ethertype, direction, *_) = s.recvfrom(65535)
        if direction == 4:  # sent by this host itself
            continue
        if ethertype == 0x0800:
            note(packet[9], packet[(packet[0] & 15) * 4:])
        elif ethertype == 0x86DD:
            note(packet[6], packet[40:])


def watch_raw(family, protocol):
    s = socket.socket(family, socket.SOCK_RAW, protocol)
    while True:
        packet = s.recv(65535)
        note(protocol, packet if family == socket.AF_INET6 else packet[(packet[0] & 15) * 4:])


def serve_tcp(family, port):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("", port))
    s.listen(64)
    start(accept, s, receive if port == UPLOAD_PORT else echo)


def accept(s, handle):
    while True:
        start(handle, s.accept()[0])


def echo(connection):
    try:
        connection.sendall(connection.recv(100))
    except OSError:
        pass


def receive(connection):
    connection.recv(1)
    begin = time.monotonic()
    while connection.recv(65536):
        pass
    connection.sendall(b"%d" % ((time.monotonic() - begin) * 1000))


def serve_udp(family, port):
    """Answers from the address that was asked: the packet's destination is read and used as the source."""
    s = socket.socket(family, socket.SOCK_DGRAM)
    v6 = family == socket.AF_INET6
    other = socket.socket(family, socket.SOCK_DGRAM)
    if v6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.setsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, 49 if v6 else 8, 1)
    s.bind(("", port))
    other.bind(("", port + 1) if port == HOLE_PORT else ("", 0))
    start(answer_udp, s, other if port == HOLE_PORT else s, v6)


def answer_udp(s, sender, v6):
    while True:
        data, ancillary, _, client = s.recvmsg(2000, 200)
        info = ancillary[0][2]
        source = info[:16] + bytes(4) if v6 else bytes(4) + info[8:12] + bytes(4)
        level = (socket.IPPROTO_IPV6, 50) if v6 else (socket.IPPROTO_IP, 8)
        try:
            sender.sendmsg([data], [(*level, source)], 0, client)
        except OSError:
            pass


def start(target, *args):
    threading.Thread(target=target, args=args, daemon=True).start()


options = json.loads(sys.argv[1])
for name in options["watch"] or []:
    start(watch_interface, name)
if not options["watch"]:
    for protocol in (6, 17, 1, 253):
        start(watch_raw, socket.AF_INET, protocol)
    for protocol in (6, 17, 58, 253):
        start(watch_raw, socket.AF_INET6, protocol)
for family in (socket.AF_INET, socket.AF_INET6):
    for port in options["tcp"]:
        serve_tcp(family, port)
    for port in options["udp"]:
        serve_udp(family, port)
print("ready", flush=True)
for _ in sys.stdin:
    print(json.dumps(sorted(seen)), flush=True)
