"""A Runtime API that takes a snapshot: it keeps `restore/next` waiting, and cuts what was connected before.

AWS's emulator cannot: with `--enable-init-caching` it answers `restore/next` with the first event.
"""

import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 30  # seconds: only a hang takes that long


class SnapshotPlatform:
    """One function's platform.

    Attributes:
        asked: What was asked for with GET, in order, as it came.
        posted: What was posted, in order: the end of the path, the type of an error, the body.
        refuses: Whether it takes no snapshots.
        faults: Requests over connections of the time before the restore.
    """

    def __init__(self):
        self.asked, self.posted, self._events = queue.Queue(), queue.Queue(), queue.Queue()
        self.faults = []
        self.refuses = False
        self.restored = threading.Event()
        self.over = threading.Event()

    def __enter__(self):
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Conversation)
        self._server.platform = self
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.restored.set()
        for _ in range(8):
            self._events.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def address(self):
        host, port = self._server.server_address
        return f"{host}:{port}"

    def wait_for(self, path):
        """Waits until something is asked for."""
        while (asked := self.asked.get(timeout=PATIENCE)) != path:
            pass
        return asked

    def restore(self):
        """Lets the process go on, as a copy."""
        self.restored.set()

    def invoke(self, body):
        """Hands out an invocation; returns what is answered."""
        self._events.put(body)
        return self.posted.get(timeout=PATIENCE)


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.is_of_before = not self.server.platform.restored.is_set()

    def do_GET(self):
        platform = self.server.platform
        self._look_for_faults()
        platform.asked.put(self.path.partition("/runtime/")[2] or self.path)
        if self.path.endswith("/event/next"):  # of an extension: never answered
            platform.over.wait(PATIENCE)
            self.close_connection = True
        elif self.path.endswith("/restore/next"):
            if platform.refuses:
                self._answer(404, b"404 page not found")
                return
            platform.restored.wait(PATIENCE)
            self._answer(200, b"")
        else:
            event = platform._events.get(timeout=PATIENCE)
            if event is None:
                self.close_connection = True
                return
            self._answer(
                200,
                event,
                Content_Type="application/json",
                Lambda_Runtime_Aws_Request_Id="id-1",
                Lambda_Runtime_Deadline_Ms="4000000000000",
            )

    def do_POST(self):
        self._look_for_faults()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/register"):
            self._answer(200, b"{}", Lambda_Extension_Identifier="some-id")
            return
        kind = self.headers.get("Lambda-Runtime-Function-Error-Type")
        self.server.platform.posted.put((self.path.partition("/runtime/")[2], kind, body))
        self._answer(202, b"{}")

    def _look_for_faults(self):
        if self.is_of_before and self.server.platform.restored.is_set():
            self.server.platform.faults.append(self.path)

    def _answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
