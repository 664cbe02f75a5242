"""A TCP relay that breaks connections in the middle of output streams."""

import random
import re
import socket
import struct
import threading
from urllib.parse import urlsplit

HEAD_BYTES = 600
STREAM = re.compile(rb"^GET \S+/(stdout|stderr)\b", re.MULTILINE)


class CuttingProxy:
    """Relays to a server; a connection that carries an output stream is reset after some of its bytes."""

    def __init__(self, url, between, seed):
        target = urlsplit(url)
        self._target = (target.hostname, target.port)
        self._between = between
        self._random = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            link = Link(client, server)
            threading.Thread(target=self._requests, args=(link,), daemon=True).start()
            threading.Thread(target=self._answers, args=(link,), daemon=True).start()

    def _requests(self, link):
        for data in received(link.client):
            if STREAM.search(data):
                # The head of the answer does not count: a cut there would be no progress.
                link.left = self._random.randint(*self._between) + HEAD_BYTES
            try:
                link.server.sendall(data)
            except OSError:
                break
        link.reset()

    def _answers(self, link):
        for data in received(link.server):
            if link.left is not None:
                if link.left < len(data):
                    self.cuts += 1
                    # What came before the cut still arrives; then a reset, in the middle of a chunk.
                    link.forward(data[: link.left])
                    break
                link.left -= len(data)
            if not link.forward(data):
                break
        else:
            link.finish()
            return
        link.reset()


class Link:
    def __init__(self, client, server):
        self.client = client
        self.server = server
        self.left = None

    def forward(self, data):
        try:
            self.client.sendall(data)
            return True
        except OSError:
            return False

    def finish(self):
        for end in (self.client, self.server):
            end.close()

    def reset(self):
        for end in (self.client, self.server):
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


def received(end):
    while True:
        try:
            data = end.recv(65536)
        except OSError:
            return
        if not data:
            return
        yield data
