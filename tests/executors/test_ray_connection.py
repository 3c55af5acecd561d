"""A cluster that cannot be reached, or is another, is told of soon; what the user opened stays open."""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import errands
from excise.errors import ExecutorError, SettingError, UnreachableError, WorkerMismatchError
from excise.executors.ray import RayExecutor
from ray_cluster import ThreeNodes

WAIT = 60.0


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that lets one connect and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_where_nobody_listens_is_unreachable():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(UnreachableError, match=f"nothing answers at '{address}'"):
            RayExecutor(address)


def test_a_server_that_says_nothing_is_unreachable_within_ten_seconds(silent_port: int):
    began = time.monotonic()
    with pytest.raises(UnreachableError, match=r"nothing answers at .* \(timed out\)"):
        RayExecutor(f"ray://127.0.0.1:{silent_port}")
    assert time.monotonic() - began < 10


def test_a_server_of_another_kind_is_no_cluster():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UnreachableError, match="is no Ray cluster"):
            RayExecutor(f"ray://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_a_cluster_of_another_version_of_ray_says_what_to_install(
    ray_cluster: ThreeNodes, monkeypatch: pytest.MonkeyPatch
):
    import ray

    monkeypatch.setattr(ray, "__version__", "2.0.0")
    with pytest.raises(WorkerMismatchError, match=r"runs other versions than this process.*excise freeze"):
        RayExecutor(ray_cluster.address)
    assert not ray.is_initialized()


def test_the_users_own_connection_is_used_and_left_open(ray_cluster: ThreeNodes):
    import ray

    ray.init(ray_cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        for address in (None, ray_cluster.address):
            with RayExecutor(address, slots=1) as executor:
                assert not executor.shares_files
            assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_executors_share_a_connection_that_the_last_one_closes(ray_cluster: ThreeNodes):
    import ray

    with RayExecutor(ray_cluster.address) as first:
        with RayExecutor("auto") as second:
            assert second.submit(errands.square, 2).result(WAIT) == 4
        assert first.submit(errands.square, 3).result(WAIT) == 9
        with pytest.raises(SettingError, match=r"can be to one only; '10\.0\.0\.5:6379' came"):
            RayExecutor("10.0.0.5:6379")
    with pytest.raises(ExecutorError, match="shut down"):
        first.submit(errands.square, 3)
    assert not ray.is_initialized()


def test_without_an_address_ray_is_started_here_and_ends_with_the_executor():
    script = (
        "import signal, sys; sys.path[:0] = sys.argv[1:]\nimport errands, ray\n"
        "from excise.executors.ray import RayExecutor\n"
        "before, told = signal.getsignal(signal.SIGTERM), []\n"
        "with RayExecutor(slots=1) as executor:\n"
        "    assert executor.submit(errands.count, 3, on_call=told.append).result(60) == 3\n"
        "    assert signal.getsignal(signal.SIGTERM) is before\n"
        "    print(told, executor.slots, executor.shares_files)\n"
        "print(ray.is_initialized())\n"
        "try:\n    RayExecutor('127.0.0.1:6379')\nexcept ValueError as error:\n    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, os.path.dirname(errands.__file__)],
        capture_output=True,
        text=True,
        check=True,
    )
    shown, is_connected, refused = ran.stdout.splitlines()
    assert (shown, is_connected, ran.stderr) == ("[0, 1, 2] 1 True", "False", "")
    assert "'127.0.0.1:6379' came). Use another process." in refused


@pytest.mark.parametrize(
    ("prefix", "advice"), [("ray://", "port is the one of Ray's client server"), ("", "ray start --address=")]
)
def test_a_server_that_is_not_rays_is_told_with_advice_for_its_kind_of_address(
    monkeypatch: pytest.MonkeyPatch, prefix: str, advice: str
):
    import ray

    def refuse(**_options: object) -> None:
        raise ConnectionError("timed out.")

    monkeypatch.setattr(ray, "init", refuse)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"{prefix}127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=_greet, args=(server,), daemon=True).start()
        with pytest.raises(UnreachableError, match=f"cannot be joined: timed out. .*{advice}") as raised:
            RayExecutor(address)
    assert ("from elsewhere, take ray://" in str(raised.value)) == (not prefix)


def _greet(server: socket.socket) -> None:
    """Answer as a server of HTTP/2 does, and say no more."""
    connection, _ = server.accept()
    with connection:
        connection.recv(100)
        connection.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
