"""This process's connection to a Ray cluster: tried out first, quiet, shared by its executors, closed by the last.

Ray tries for minutes to reach an address that nobody answers at, and its messages do not say what to do. So the
address is knocked at before Ray gets it. A process has one connection: one that the user opened is used, and left as
it is.
"""

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from excise.errors import SettingError, UnreachableError, WorkerMismatchError
from excise.executors.processes import cores

__all__ = ["RayConnection"]

_KNOCK_SECONDS = 3.0

_ADDRESS = re.compile(r"(?P<client>ray://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")

_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_HTTP2_SETTINGS = 4

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
}
"""Environment variables for Ray, where the user has not set them: no reports home, no chatter, any patch of Python."""

_OBJECT_STORE = 256 * 2**20


class RayConnection:
    """A share of this process's connection to a cluster, opened if there is none.

    Args:
        ray: the module.
        address: as `RayExecutor` takes it.
        slots: processors of a cluster that is started here; None takes those of this process.
        runtime_env: what workers need, as Ray takes it.

    Raises:
        SettingError: no address, or another than this process is connected to.
        UnreachableError: nobody answers there, or it is no Ray cluster.
        WorkerMismatchError: the cluster runs another version of Ray or Python.

    Attributes:
        is_local: whether the cluster was started here.
        is_the_users: whether the connection was there before, and stays.
    """

    _lock = threading.Lock()
    _shares = 0
    _address: str | None = None
    _was_told = True
    _has_started_ray = False

    def __init__(
        self, ray: ModuleType, address: str | None, slots: int | None, runtime_env: Mapping[str, Any] | None
    ) -> None:
        self._ray = ray
        self._closed = False
        if address not in (None, "auto"):
            _parsed(address)
        with RayConnection._lock:
            self.is_the_users = ray.is_initialized() and not RayConnection._shares
            if ray.is_initialized():
                self._require_same(address)
            else:
                RayConnection._shares = 0
                if address is not None and RayConnection._has_started_ray:
                    raise SettingError(
                        f"this process has started Ray on this machine before, and Ray's actors do not work in it on "
                        f"another cluster ({address!r} came). Use another process."
                    )
                RayConnection._has_started_ray |= address is None
                _open(ray, address, slots, runtime_env)
                RayConnection._address = address
                # Ray prints about each worker that dies, whatever it is told at its start; its end is an error of ours.
                RayConnection._was_told = ray._private.worker._worker_logs_enabled
                ray._private.worker._worker_logs_enabled = False
            if not self.is_the_users:
                RayConnection._shares += 1
            self.is_local = not self.is_the_users and RayConnection._address is None

    @property
    def is_last(self) -> bool:
        """Whether the connection is closed with this share."""
        return not self.is_the_users and RayConnection._shares == 1

    def close(self) -> None:
        """Give the share back; the last one closes the connection, and ends a cluster that was started here."""
        with RayConnection._lock:
            if self._closed or self.is_the_users:
                return
            self._closed = True
            RayConnection._shares -= 1
            if not RayConnection._shares:
                self._ray.shutdown()
                self._ray._private.worker._worker_logs_enabled = RayConnection._was_told

    def _require_same(self, address: str | None) -> None:
        if address in (None, "auto") or (not self.is_the_users and address == RayConnection._address):
            return
        here = self._ray.get_runtime_context().gcs_address
        host, port, is_client = _parsed(address)
        if is_client or f"{_as_ray_sees(self._ray, host)}:{port}" != here:
            raise SettingError(
                f"this process is connected to the Ray cluster at {here}, and can be to one only; {address!r} came. "
                f"Close that connection first, or leave the address out."
            )


def _open(
    ray: ModuleType, address: str | None, slots: int | None, runtime_env: Mapping[str, Any] | None
) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if runtime_env is not None:
        options["runtime_env"] = dict(runtime_env)
    with _settings(), _signals_kept():
        if address is None:
            ray.init(
                address="local",
                num_cpus=slots or cores(),
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE,
                **options,
            )
            return
        place = _found() if address == "auto" else address
        host, port, is_client = _parsed(place)
        _knock(host if is_client else _as_ray_sees(ray, host), port, place)
        try:
            ray.init(address=place, **options)
        except Exception as error:
            ray.shutdown()
            raise _refused(place, error) from error


def _parsed(address: str) -> tuple[str, int, bool]:
    """Host, port, and whether it is one of Ray's client server."""
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 2**16:
        raise SettingError(
            f"{address!r} is no address of a Ray cluster. Give 'auto' on a machine of the cluster, host:port "
            f"(its head's, such as 10.0.0.5:6379) likewise, or ray://host:10001 from elsewhere; without an address, "
            f"Ray is started on this machine."
        )
    return match["host"].strip("[]"), int(match["port"]), match["client"] is not None


def _found() -> str:
    """The cluster that this machine belongs to, as Ray finds it."""
    if place := os.environ.get("RAY_ADDRESS"):
        return place
    from ray._private import services

    try:
        return services.canonicalize_bootstrap_address_or_die("auto")
    except ConnectionError as error:
        raise UnreachableError(
            "this machine belongs to no Ray cluster that runs. Start one (`ray start --head`), give its address "
            "(ray://host:10001 from another machine), or leave the address out to start Ray for this alone."
        ) from error


def _as_ray_sees(ray: ModuleType, host: str) -> str:
    """Ray takes addresses of the loopback for the machine's own."""
    return ray.util.get_node_ip_address() if host in ("localhost", "127.0.0.1", "::1") else host


def _knock(host: str, port: int, address: str) -> None:
    """See whether there is a server of Ray's kind; gRPC greets as HTTP/2 does."""
    try:
        with socket.create_connection((host, port), timeout=_KNOCK_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return
            connection.sendall(_HTTP2_GREETING)
            frame = connection.recv(9)
    except OSError as error:
        raise UnreachableError(
            f"nothing answers at {address!r} ({error.strerror or error}). See that the cluster runs (`ray status` on "
            f"its head) and that its port can be reached from here."
        ) from error
    if len(frame) < 4 or frame[3] != _HTTP2_SETTINGS:
        raise UnreachableError(f"what answers at {address!r} is no Ray cluster. Look at the port.")


def _refused(address: str, error: Exception) -> Exception:
    text = " ".join(str(error).split())
    if "ersion mismatch" in text or "versions do not match" in text:
        return WorkerMismatchError(
            f"the Ray cluster at {address!r} runs other versions than this process: {text} Install the same ones; "
            f"`excise freeze --extras ray` lists those here."
        )
    advice = (
        "See that the port is the one of Ray's client server on the head (10001 if nobody chose another)."
        if address.startswith("ray://")
        else f"This machine must be part of the cluster (`ray start --address={address}`) to take an address of that "
        f"kind; from elsewhere, take ray://host:10001."
    )
    return UnreachableError(f"the Ray cluster at {address!r} cannot be joined: {text.rstrip('.')}. {advice}")


@contextmanager
def _settings() -> Iterator[None]:
    added = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray puts its own answer to SIGTERM in the place of the program's."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
