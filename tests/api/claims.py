"""Operations without a server: the protocol of claims over HTTP in a few lines of Python, for tests
of an agent that want to choose what it is answered, and when."""

import collections
import http.server
import json
import socket
import threading
import time
import uuid


class Operations:
    """All operations, and who holds them. `faults` are functions that get a handler and the path,
    and may answer in the place of all this (True)."""

    def __init__(self):
        self.lock = threading.Condition()
        self.queue = collections.deque()
        self.operations = {}
        self.asked = []
        self.fault = None
        self.server = None
        self.start()

    def start(self, port=0):
        handler = type("Handler", (_Handler,), {"operations": self})
        self.server = _Server(("127.0.0.1", port), handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.server.break_connections()

    @property
    def port(self):
        return self.server.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def add(self, record=None, **members):
        """A new operation, by its id."""
        with self.lock:
            name = str(uuid.uuid4())
            self.operations[name] = {
                "id": name, "resource": "things", "record": "7", "transition": "make",
                "state": "queued", "attempts": 0, "cancel_requested": False, "progress": 0,
                "given": record or {"id": 7}, "environment": {}, "limit": 60, "beats": [],
                "lease_ends": 0, **members}
            self.queue.append(name)
            self.lock.notify_all()
            return name

    def wait(self, name, *states, patience=60):
        """Waits for a state, and gives the operation."""
        with self.lock:
            operation = self.operations[name]
            assert self.lock.wait_for(lambda: operation["state"] in states, patience), operation
            return operation

    def wait_for(self, condition, patience=60):
        with self.lock:
            assert self.lock.wait_for(condition, patience), self.operations

    def cancel(self, name):
        with self.lock:
            self.operations[name]["cancel_requested"] = True

    def claim(self, body, wait):
        end = time.monotonic() + wait
        with self.lock:
            while not self.queue:
                if not self.lock.wait(max(0, end - time.monotonic())):
                    return 204, None
            operation = self.operations[self.queue.popleft()]
            operation["state"] = "running"
            operation["attempts"] += 1
            operation["worker"] = body["worker"]
            operation["lease_ends"] = time.monotonic() + body["lease_seconds"]
            self.lock.notify_all()
            return 200, {"operation": _shown(operation), "attempt": operation["attempts"],
                         "record": operation["given"], "run": None,
                         "environment": operation["environment"],
                         "time_limit_seconds": operation["limit"]}

    def report(self, name, what, body):
        with self.lock:
            operation = self.operations.get(name)
            if operation is None:
                return 404, _problem("not-found")
            if operation["state"] != "running" or operation["attempts"] != body["attempt"]:
                return 409, _problem("overtaken")
            operation.update({key: body[key] for key in ("progress", "detail") if key in body})
            if what == "beat":
                operation["beats"].append(body)
                operation["lease_ends"] = time.monotonic() + body["lease_seconds"]
            else:
                operation["set"] = body.get("set")
                operation["state"] = body["state"]
            self.lock.notify_all()
            return 200, _shown(operation)


def _shown(operation):
    return {name: value for name, value in operation.items() if name not in ("given", "lease_ends")}


def _problem(kind):
    return {"type": f"urn:trestle:problem:{kind}", "title": kind, "detail": f"it is {kind}"}


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments):
        self.connections = set()
        super().__init__(*arguments)

    def process_request(self, request, client_address):
        self.connections.add(request)
        super().process_request(request, client_address)

    def break_connections(self):
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it ended before

    def handle_error(self, request, client_address):
        """An agent that was stopped has gone away."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    operations = None

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        path, _, query = self.path.partition("?")
        words = path.strip("/").split("/")
        with self.operations.lock:
            self.operations.asked.append((path, body, self.headers.get("Authorization")))
            fault = self.operations.fault
        if fault and fault(self, path):
            return
        if path == "/operations/claim":
            wait = float(query.partition("=")[2] or 0)
            self.answer(*self.operations.claim(body, wait))
        else:
            self.answer(*self.operations.report(words[1], words[2], body))

    def answer(self, status, body):
        data = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
