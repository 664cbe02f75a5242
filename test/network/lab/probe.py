"""Sends the flows given as JSON in argv[1], all at once, and prints what came back for each."""
import json, select, socket, struct, sys, threading, time

PATIENCE_S = 1.5


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def bound(kind, flow):
    s = socket.socket(family(flow["dst"]), kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(PATIENCE_S)
    s.bind(("", flow["sport"]))
    return s


def tcp(flow):
    s = bound(socket.SOCK_STREAM, flow)
    s.connect((flow["dst"], flow["port"]))
    s.sendall(b"hello")
    return "reply" if s.recv(100) == b"hello" else "silent"


def udp(flow):
    s = bound(socket.SOCK_DGRAM, flow)
    s.connect((flow["dst"], flow["port"]))
    s.send(b"hello")
    return "reply" if s.recv(100) == b"hello" else "silent"


def hole(flow):
    """The peer answers from another port than the one asked: only an open door lets that in."""
    s = bound(socket.SOCK_DGRAM, flow)
    s.sendto(b"hello", (flow["dst"], flow["port"]))
    return "reply" if s.recvfrom(100)[1][1] != flow["port"] else "silent"


def icmp(flow):
    v6 = ":" in flow["dst"]
    s = socket.socket(family(flow["dst"]), socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
    header = struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, flow["sport"], 1)
    if not v6:
        header = struct.pack("!BBHHH", 8, 0, checksum(header + b"hello!"), flow["sport"], 1)
    s.sendto(header + b"hello!", (flow["dst"], 0))
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and select.select([s], [], [], end - time.monotonic())[0]:
        packet = s.recv(2000)
        body = packet if v6 else packet[(packet[0] & 15) * 4:]
        if body[0] == (129 if v6 else 0) and body[4:6] == struct.pack("!H", flow["sport"]):
            return "reply"
        if body[0] == (1 if v6 else 3) and struct.pack("!HH", flow["sport"], 1) in body[8:]:
            return "rejected"
    return "silent"


def protocol(flow):
    """A protocol without ports; the peer only watches it arrive."""
    s = socket.socket(family(flow["dst"]), socket.SOCK_RAW, 253)
    s.sendto(struct.pack("!HH", flow["sport"], 0), (flow["dst"], 0))
    return "sent"


def spoof(flow):
    """A UDP packet that claims to come from somebody else."""
    v6 = ":" in flow["dst"]
    src, dst = (socket.inet_pton(family(flow["dst"]), flow[key]) for key in ("src", "dst"))
    body = struct.pack("!HHHH", flow["sport"], flow["port"], 13, 0) + b"hello"
    if v6:
        total = checksum(src + dst + struct.pack("!II", len(body), 17) + body)
        body = body[:6] + struct.pack("!H", total) + body[8:]
        packet = struct.pack("!IHBB", 6 << 28, len(body), 17, 64) + src + dst + body
    else:
        packet = struct.pack("!BBHHHBBH", 69, 0, 20 + len(body), 7, 0, 64, 17, 0) + src + dst + body
    s = socket.socket(family(flow["dst"]), socket.SOCK_RAW, socket.IPPROTO_RAW)
    s.setsockopt(socket.IPPROTO_IPV6 if v6 else socket.IPPROTO_IP, 36 if v6 else socket.IP_HDRINCL, 1)
    s.sendto(packet, (flow["dst"], 0))
    return "sent"


def upload(flow):
    """Sends a body; the peer says how many milliseconds it took to arrive."""
    s = bound(socket.SOCK_STREAM, flow)
    s.settimeout(30)
    s.connect((flow["dst"], flow["port"]))
    s.sendall(bytes(flow["bytes"]))
    s.shutdown(socket.SHUT_WR)
    return s.recv(100).decode()


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def run(flow):
    try:
        flow["answer"] = globals()[flow["kind"]](flow)
    except TimeoutError:
        flow["answer"] = "silent"
    except OSError as error:
        flow["answer"] = "rejected"
        flow["errno"] = error.errno


flows = json.loads(sys.argv[1])
threads = [threading.Thread(target=run, args=(flow,)) for flow in flows]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps([{key: flow.get(key) for key in ("id", "answer", "errno")} for flow in flows]))
