"""Carries functions out on Modal, in containers that are made for them.

Each function is one call of `modal_worker.work`, a generator: what it calls back with, what it prints and its result
come over one connection, in order. The image holds the versions of this machine and the source that lies on it.
"""

import concurrent.futures
import contextlib
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from excise.errors import ExciseError, ExecutorError, SettingError, UnreachableError, WorkerDiedError
from excise.executors.base import Executor, OnCall
from excise.executors.freeze import freeze
from excise.executors.modal_image import define_image
from excise.executors.modal_worker import work
from excise.executors.work import Inbox, Package, pack
from excise.extras import require

__all__ = ["VOLUME_AT", "ModalExecutor", "check_credentials"]

T = TypeVar("T")

VOLUME_AT = "/runs"
"""Where a volume is mounted."""

_SLOTS = 20


class ModalExecutor(Executor):
    """Runs each function in a container of Modal's, many at once; what is there sees no file of this machine.

    Nothing is sent before the first function is submitted, and nothing at all without credentials.

    Args:
        slots: how many functions, and containers, run at once; None takes 20.
        app_name: what Modal's pages show.
        volume: the name of a volume of Modal's, made if there is none, that functions find at `/runs`; what they write
            there is kept when they end.
        image: a `modal.Image` to run in; None takes the versions of this machine (`freeze`).
        extras: of excise, that functions need in the image.
        own: modules whose source is sent, besides excise and the module of the first function submitted.
        index_url: a further index of packages for the image.
        timeout_min: after how many minutes a function is ended.
        resources: what else `modal.App.function` takes: cpu, memory, gpu, region, secrets.

    Raises:
        SettingError: fewer than one slot, or resources that Modal does not know.
        UnreachableError: this machine has no credentials of Modal's.
        MissingExtraError: modal is not installed.
    """

    shares_files = False

    def __init__(
        self,
        *,
        slots: int | None = None,
        app_name: str = "excise",
        volume: str | None = None,
        image: Any = None,  # noqa: ANN401 - a `modal.Image`
        extras: Sequence[str] = (),
        own: Sequence[str] = (),
        index_url: str | None = None,
        timeout_min: float = 60,
        resources: dict[str, Any] | None = None,
    ) -> None:
        if slots is not None and slots < 1:
            raise SettingError(f"an executor of Modal functions takes at least one; slots={slots} came.")
        check_credentials()
        self.slots = slots or _SLOTS
        self._app_name = app_name
        self._volume = volume
        self._image = image
        self._extras = tuple(extras)
        self._modules = set(own)
        self._index_url = index_url
        self._resources = {"timeout": round(60 * timeout_min), **(resources or {})}
        self._pool = concurrent.futures.ThreadPoolExecutor(self.slots, thread_name_prefix="modal")
        self._lock = threading.Lock()
        self._connection = contextlib.ExitStack()
        self._call: Callable[..., Iterator[bytes]] | None = None
        self._sent: tuple[str, ...] = ()
        self._closed = False
        self._killed = False

    def define(self) -> tuple[Any, Any]:
        """An app of Modal's and the function in it that all calls go through, with its image; nothing is sent.

        Raises:
            SettingError: resources that Modal does not know.
        """
        modal = require("modal", "running functions on Modal")
        image = self._image
        if image is None:
            frozen = freeze(self._extras, self._modules)
            self._sent = frozen.own
            image = define_image(frozen, self._index_url)
        volumes = {}
        if self._volume is not None:
            volumes[VOLUME_AT] = modal.Volume.from_name(self._volume, create_if_missing=True)
        app = modal.App(self._app_name)
        try:
            function = app.function(
                image=image,
                volumes=volumes,
                max_containers=self.slots,
                is_generator=True,
                include_source=False,
                **self._resources,
            )(work)
        except (TypeError, modal.exception.InvalidError) as error:
            raise SettingError(f"Modal does not take these resources: {error}") from error
        return app, function

    def _start(
        self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], on_call: OnCall | None
    ) -> "concurrent.futures.Future[T]":
        package = pack(fn, args, kwargs)
        check_credentials()
        with self._lock:
            if self._closed:
                raise ExecutorError("this executor was shut down and takes nothing more; open another.")
            self._send_source_of(fn.__module__)
            return self._pool.submit(self._carry_out, package, Inbox(on_call))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; see `Executor.shutdown`. What is ended in its middle raises `WorkerDiedError`."""
        with self._lock:
            self._closed = True
            self._killed = self._killed or cancel_futures
        self._pool.shutdown(wait=False, cancel_futures=cancel_futures)
        if cancel_futures:
            self._connection.close()
        if wait:
            self._finish()
        else:
            threading.Thread(target=self._finish, daemon=True).start()

    def _finish(self) -> None:
        self._pool.shutdown(wait=True)
        self._connection.close()

    def _send_source_of(self, module: str) -> None:
        """Connect with the first function; a later one is of a module that was sent then."""
        name = module.partition(".")[0]
        if self._call is not None:
            if self._sent and name not in self._modules and set(freeze(modules=[name]).own) - set(self._sent):
                raise ExecutorError(
                    f"the source of {name!r} was not sent: the image was made of {', '.join(self._sent)} when the "
                    f"first function was submitted. Say ModalExecutor(own=[{name!r}])."
                )
            self._modules.add(name)
            return
        self._modules.add(name)
        app, function = self.define()
        print("Modal: starting; the first time, an image is made, which takes minutes.", file=sys.stderr)
        self._call = self._connect(app, function)

    def _connect(self, app: Any, function: Any) -> Callable[..., Iterator[bytes]]:  # noqa: ANN401 - types of Modal's
        """Start the app.

        Raises:
            UnreachableError: Modal does not answer, or does not know the credentials.
        """
        modal = require("modal", "running functions on Modal")
        try:
            self._connection.enter_context(app.run())
        except (modal.exception.Error, OSError) as error:
            raise UnreachableError(f"Modal lets nobody in, or does not answer: {error}") from error
        return function.remote_gen

    def _carry_out(self, package: Package, inbox: Inbox) -> Any:  # noqa: ANN401 - what the function gives
        for kind, *content in self._events(package):
            if kind == "call":
                inbox.take(*content)
            elif kind == "output":
                print(*content, file=sys.stderr, flush=True)
            elif kind == "result":
                return content[0]
            else:
                raise content[0]
        why = (
            "it was ended with its executor"
            if self._killed
            else "its container is gone, perhaps out of memory"
        )
        raise WorkerDiedError(f"a function on Modal ended in the middle of its work: {why}.")

    def _events(self, package: Package) -> Iterator[tuple[Any, ...]]:
        """What happens in a call, with Modal's errors as ours."""
        errors = require("modal", "running functions on Modal").exception
        assert self._call is not None
        try:
            for content in self._call(package, (self._volume,) if self._volume else ()):
                yield pickle.loads(content)
        except errors.FunctionTimeoutError as error:
            raise WorkerDiedError(
                f"a function on Modal was ended after {self._resources['timeout'] / 60:g} minutes; ask for more with "
                f"timeout_min."
            ) from error
        except (errors.AuthError, errors.ConnectionError) as error:
            raise UnreachableError(f"Modal lets nobody in, or does not answer: {error}") from error
        except errors.Error as error:
            raise WorkerDiedError(f"a function on Modal ended in the middle of its work: {error}") from error


def check_credentials() -> None:
    """See that this machine has credentials of Modal's, without asking Modal whether they are good.

    Raises:
        UnreachableError: it has none, or half of them.
        MissingExtraError: modal is not installed.
    """
    try:
        config = require("modal", "running functions on Modal").config.config
        has_token = config.get("token_id") and config.get("token_secret")
        has_credentials = has_token or config.get("oauth_refresh_token")
    except ExciseError:
        raise
    except Exception as error:  # Importing modal reads its file of settings.
        raise UnreachableError(f"Modal's settings on this machine cannot be read: {error}") from error
    if not has_credentials:
        raise UnreachableError(
            "this machine has no credentials of Modal's, and nothing was sent. Run `modal setup` once, or set "
            "MODAL_TOKEN_ID and MODAL_TOKEN_SECRET."
        )
