"""A Runtime API that does to each exchange what a script says, over real sockets, and keeps the books.

One invocation is open at a time: it is given again until an answer to it was taken, as Lambda does.
"""

import json
import re
import select
import socket
import struct
import threading
from collections import deque
from itertools import pairwise

TAKEN = b'HTTP/1.1 202 Accepted\r\nContent-Length: 15\r\n\r\n{"status":"OK"}'
NONSENSE = "evil-1"


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class HostilePlatform:
    """Args:
        invocations: How many there are.
        script: What happens to each request, in the order of their arrival; afterwards all goes well.

    Attributes:
        posts: Each that arrived: request id, kind, body, the echo of the invocation id.
        given: How often each request id was given, in a way that can be understood.
        taken: Request ids of the answers taken.
        faults: Those of the script that happened, and of which the log has to speak.
    """

    def __init__(self, invocations, script):
        self._waiting = deque(f"id-{number}" for number in range(invocations))
        self._open = None
        self._script = deque(script)
        self.posts, self.taken, self.faults = [], [], []
        self.given = {}
        self._books = threading.Lock()
        self._connections = []

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._over, self._end = socket.socketpair()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._end.close()
        for thread in self._threads:
            thread.join()
        self._over.close()
        self._listener.close()

    # -- connections

    def _accept(self):
        while self._readable(self._listener):
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _readable(self, this):
        """Waits until there is something to read, or the end of the test."""
        return self._over not in select.select([this, self._over], [], [])[0]

    def _serve(self, connection):
        try:
            while (request := self._read(connection)) is not None:
                if not self._answer(connection, *request):
                    break
        except OSError:
            pass
        finally:
            connection.close()

    def _read(self, connection):
        data = b""
        while True:
            head, found, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            if found and len(body) >= int(length[1] if length else 0):
                return head.decode("latin-1"), body
            if not self._readable(connection):
                return None
            more = connection.recv(65536)
            if not more:
                return None
            data += more

    # -- the books

    def _answer(self, connection, head, body):
        """Does what the script says; returns whether the connection goes on."""
        what, *how = self._script.popleft() if self._script else ("well",)
        do = getattr(self, f"do_{what}")
        with self._books:
            if head.startswith("GET /2018-06-01/runtime/invocation/next "):
                return do(connection, self._give, *how)
            path, echo = self._note(head, body)
            return do(connection, lambda: self._take(path, echo), *how)

    def _give(self, **said):
        if self._open is None and self._waiting:
            self._open = self._waiting.popleft()
        if self._open is None:
            return b""
        body = json.dumps({"n": self._open}).encode()
        headers = {
            "Lambda-Runtime-Aws-Request-Id": self._open,
            "Lambda-Runtime-Deadline-Ms": "4000000000000",
            "Lambda-Runtime-Invocation-Id": f"n\u00f6nce-{self._open}",
            "Content-Length": str(len(body)),
        } | said
        if "Lambda-Runtime-Aws-Request-Id" not in said:
            self.given[self._open] = self.given.get(self._open, 0) + 1
        lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
        return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""]).encode("latin-1") + body

    def _note(self, head, body):
        request_id, kind = re.match(
            r"POST /2018-06-01/runtime/invocation/([^/ ]*)/(response|error) ", head
        ).groups()
        echo = re.search("Lambda-Runtime-Invocation-Id: (.*?)\r\n", head + "\r\n")[1]
        self.posts.append((request_id, kind, body, echo))
        return request_id, echo

    def _take(self, request_id, echo):
        if request_id != self._open or echo != f"n\u00f6nce-{request_id}":
            return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
        self.taken.append(request_id)
        self._open = None
        return TAKEN

    def _is_over(self, connection, answer):
        if not answer:  # there is nothing more to give
            self.faults.append("over")
            reset(connection)
        return not answer

    # -- what may happen to an exchange

    def do_well(self, connection, outcome, *cuts):
        answer = outcome()
        if self._is_over(connection, answer):
            return False
        ends = sorted({int(cut * len(answer)) for cut in cuts} | {0, len(answer)})
        for begin, end in pairwise(ends):
            connection.sendall(answer[begin:end])
        return True

    def do_lose_request(self, connection, outcome, how):
        self.faults.append("request lost")
        how(connection)
        return False

    def do_lose_answer(self, connection, outcome, how, part):
        """It arrived, and the answer does not, or not whole."""
        answer = outcome()
        if self._is_over(connection, answer):
            return False
        self._not_understood()
        self.faults.append("answer lost")
        connection.sendall(answer[: int(part * (len(answer) - 1))])
        how(connection)
        return False

    def do_stall(self, connection, outcome, part):
        answer = outcome()
        if self._is_over(connection, answer):
            return False
        self._not_understood()
        self.faults.append("answer stalled")
        connection.sendall(answer[: max(1, int(part * (len(answer) - 1)))])
        while self._readable(connection) and connection.recv(65536):
            pass
        return False

    def do_say(self, connection, outcome, status):
        """The request counts for nothing."""
        again = outcome != self._give and [item[0] for item in self.posts[-2:-1]] == [
            self.posts[-1][0]
        ]
        if not (again and status in {400, 403, 410}):  # that the first one had arrived
            self.faults.append(f"status {status}")
        connection.sendall(f"HTTP/1.1 {status} Oops\r\nContent-Length: 4\r\n\r\noops".encode())
        return True

    def do_garbage(self, connection, outcome, garbage):
        self.faults.append("garbage")
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        while self._readable(connection) and connection.recv(65536):
            pass
        return False

    def do_announce(self, connection, outcome, how_often):
        answer = outcome()
        if self._is_over(connection, answer):
            return False
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n" * how_often + answer)
        return True

    def do_chunk(self, connection, outcome, size):
        answer = outcome()
        if self._is_over(connection, answer):
            return False
        head, _, body = answer.partition(b"\r\n\r\n")
        head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
        pieces = [body[begin : begin + size] for begin in range(0, len(body), size)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        connection.sendall(head + b"\r\n\r\n" + chunks + b"0\r\n\r\n")
        return True

    def do_part(self, connection, outcome):
        answer = outcome()
        if self._is_over(connection, answer):
            return False
        connection.sendall(
            answer.replace(b"Content-Length", b"Connection: close\r\nContent-Length")
        )
        return False

    def do_end_after(self, connection, outcome, how):
        """It says nothing of it."""
        answer = outcome()
        if self._is_over(connection, answer):
            return False
        connection.sendall(answer)
        how(connection)
        return False

    def do_add(self, connection, outcome, more):
        """Says more than it was asked for."""
        answer = outcome()
        if self._is_over(connection, answer):
            return False
        self.faults.append("unasked")
        connection.sendall(answer + more)
        return True

    def do_misname(self, connection, outcome, name):
        if outcome != self._give:
            return self.do_well(connection, outcome)
        answer = self._give(**{"Lambda-Runtime-Aws-Request-Id": name})
        if self._is_over(connection, answer):
            return False
        self.faults.append(f"request id {name}")
        connection.sendall(answer)
        return True

    def do_inflate(self, connection, outcome, size):
        self.faults.append("endless headers")
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * size)
        while self._readable(connection) and connection.recv(65536):
            pass
        return False

    def _not_understood(self):
        """What was given last did not arrive whole."""
        if self._open is not None and self._open in self.given:
            self.given[self._open] -= 1
