"""PostgreSQL for tests that treat it badly: clusters of their own, standbys, and what stands between."""

import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import random
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

import psycopg2

from harness import ROOT, wait_until


def _load_tool():
    loader = importlib.machinery.SourceFileLoader(
        "postgres_cluster", str(ROOT / "tools" / "postgres_cluster"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


_tool = _load_tool()


class Cluster(_tool.Cluster):
    """One that tools/postgres_cluster makes, with more ways to end it."""

    def children(self):
        """The processes that the server started: its own, and one for each client."""
        try:
            text = pathlib.Path(f"/proc/{self.process()}/task/{self.process()}/children").read_text()
        except OSError:
            return []
        return [int(each) for each in text.split()]

    def crash_all(self):
        """Kills the server and all of its processes, at once."""
        process = self.process()
        children = self.children()
        os.kill(process, signal.SIGSTOP)  # or it would begin to recover, or start more of them
        for each in [*children, *self.children(), process]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        wait_until(lambda: self.process() is None, "the server is dead")

    def crash_client(self):
        """Kills a process that serves a client: the server ends all others and recovers."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'trestle' "
                           "AND backend_type = 'client backend'")
            processes = [row[0] for row in cursor]
        if processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice(processes), signal.SIGKILL)

    @contextlib.contextmanager
    def connect(self):
        connection = psycopg2.connect(self.url, connect_timeout=10)
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def rows(self, sql):
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def answers(self):
        try:
            return self.rows("SELECT 1") == [(1,)]
        except psycopg2.Error:
            return False

    def clear(self):
        """Removes all tables."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def follow(self, primary, settings):
        """Becomes a standby of another cluster, on the port it had before or a free one."""
        made = self.run("pg_basebackup", "-d", primary.url, "-D", str(self.folder / "data"), "-R",
                        "-X", "stream", "-c", "fast", "--no-sync")
        assert made.returncode == 0, made.stdout
        with open(self.folder / "data" / "postgresql.conf", "a", encoding="utf-8") as file:
            for name, value in {"unix_socket_directories": str(self.folder), **settings}.items():
                file.write(f"{name} = '{value}'\n")
        if self.port:
            self.resume()
        else:
            self.start_somewhere()


def make_cluster(**settings):
    """A cluster that runs; its owner removes it."""
    made = _tool.make({**_tool.SETTINGS, **settings})
    cluster = Cluster(made.folder, made.port, made.password)
    return cluster


def empty_cluster(password):
    """A folder that is to become a standby."""
    cluster = Cluster(tempfile.mkdtemp(prefix="trestle-postgres-"), 0, password)
    if cluster.user:
        os.chown(cluster.folder, cluster.user.pw_uid, cluster.user.pw_gid)
    return cluster


class Proxy:
    """Stands between trestle and PostgreSQL, and lets through what it is told to.

    `mode` holds for all connections at once:
        pass    everything, at once
        delay   everything, up to a quarter of a second late
        silent  nothing, in neither direction; connections are accepted
        deaf    what trestle asks; the answers are lost, and what follows them
        refuse  connections are closed at once
    """

    def __init__(self, target_port):
        self.target_port = target_port
        self.mode = "pass"
        self.cut_after = None  # so many bytes from now on, in either direction; then …
        self.cut_only_one = False  # … all is cut, or the connection that it happens on
        self.lock = threading.Lock()
        self.connections = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, cluster):
        return cluster.url.replace(f":{cluster.port}/", f":{self.port}/")

    def close(self):
        self.open = False
        self.listener.close()
        self.cut()

    def cut(self, *sockets):
        """Ends connections, all or some, by a reset: what is under way is lost."""
        with self.lock:
            victims = sockets or list(self.connections)
            self.connections.difference_update(victims)
        for each in victims:
            # (A thread may be waiting for the socket: only shutdown wakes it.)
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self):
        while self.open:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.mode == "refuse":
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with self.lock:
            self.connections.add(client)
        while self.mode == "silent":
            time.sleep(0.01)
            if client not in self.connections:
                return
        try:
            server = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
        except OSError:
            self._end(client)
            return
        with self.lock:
            if client not in self.connections:
                server.close()
                return
            self.connections.add(server)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError, ValueError):
            self._pump(client, server)
        self._end(client, server)

    def _end(self, *sockets):
        with self.lock:
            self.connections.difference_update(sockets)
        for each in sockets:
            each.close()

    def _pump(self, client, server):
        other = {client: server, server: client}
        deaf = False  # where something was lost, nothing may follow
        while True:
            ready, _, _ = select.select([client, server], [], [], 0.05)
            if self.mode == "silent":
                time.sleep(0.01)
                continue
            for each in ready:
                data = each.recv(65536)
                if not data:
                    return
                deaf = deaf or self.mode == "deaf"
                if deaf and each is server:
                    continue
                if self.mode == "delay":
                    time.sleep(random.random() / 4)
                data, cut = self._count(data)
                other[each].sendall(data)
                if cut:
                    self.cut(*([client, server] if self.cut_only_one else []))
                    return

    def _count(self, data):
        """What still goes through of some data, and whether that was all."""
        with self.lock:
            if self.cut_after is None:
                return data, False
            data = data[:self.cut_after]
            self.cut_after -= len(data)
            cut = self.cut_after == 0
            if cut:
                self.cut_after = None
            return data, cut


class Bouncer:
    """A pgbouncer that pools transactions, in front of a cluster."""

    def __init__(self, cluster, pool_size=4):
        self.cluster = cluster
        self.pool_size = pool_size
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="trestle-bouncer-"))
        self.process = None
        self.port = None

    @property
    def url(self):
        return self.cluster.url.replace(f":{self.cluster.port}/", f":{self.port}/")

    def __enter__(self):
        for _ in range(5):
            if self._start():
                return self
        raise AssertionError(f"pgbouncer does not start:\n{self.log()}")

    def _start(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        return self._start_there()

    def _start_there(self):
        users = self.folder / "users"
        users.write_text(f'"trestle" "{self.cluster.password}"\n')
        (self.folder / "ini").write_text(f"""
[databases]
* = host=127.0.0.1 port={self.cluster.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {self.pool_size}
max_client_conn = 500
server_login_retry = 1
""")
        identity = {}
        if self.cluster.user:
            identity = {"user": self.cluster.user.pw_uid, "group": self.cluster.user.pw_gid,
                        "extra_groups": []}
            for path in (self.folder, users, self.folder / "ini"):
                os.chown(path, self.cluster.user.pw_uid, self.cluster.user.pw_gid)
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/pgbouncer", str(self.folder / "ini")],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            **identity)
        return wait_until(lambda: self.process.poll() is not None and "dead" or self._answers(),
                          "pgbouncer answers") != "dead"

    def restart(self, kill=False, away=0):
        """Ends it, without any regard for its clients, and starts it on the same port."""
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait(30)
        time.sleep(away)
        wait_until(self._start_there, "pgbouncer starts again")

    def _answers(self):
        try:
            psycopg2.connect(self.url, connect_timeout=5).close()
            return True
        except psycopg2.Error:
            return False

    def log(self):
        return (self.folder / "log").read_text("utf-8", "replace")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        subprocess.run(["rm", "-rf", str(self.folder)], check=True)
