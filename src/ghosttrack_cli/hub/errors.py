"""What the Hugging Face libraries raise, told apart, and a first look at the hub that cannot hang.

The libraries report one and the same lost connection as half a dozen types, some of them
"not found", and retry for minutes before they do. Here the first look has a deadline, and every
failure becomes one HubError that says what happened.
"""

from __future__ import annotations

import importlib
import socket
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ghosttrack_cli.errors import HubError
from ghosttrack_cli.quantities import format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

Result = TypeVar("Result")

REQUEST_SECONDS = 4.0
DEADLINE_SECONDS = 5.0
"""A name server that is silent is not covered by the request's timeout."""

WITHOUT_HUB = (
    "to work without the hub: --model DIR and --corpus PATH take local files,"
    " `ghosttrack demo` needs nothing"
)
RUN_AGAIN = "run the same command again to resume"


@dataclass(frozen=True)
class HubRepository:
    """A model or data set as the hub has it now: its commit and the names of its files."""

    name: str
    commit: str
    files: tuple[str, ...]


def look_up(
    kind: Literal["model", "dataset"], name: str, revision: str | None = None
) -> HubRepository:
    """Ask the hub for the commit behind `revision`; answers or raises within five seconds.

    Raises:
        HubError: offline, 401, 404, 429, 5xx, silent or dropped; the message says which.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    what = f"the {'data set' if kind == 'dataset' else 'model'} {name!r}"

    def ask() -> HubRepository:
        hub = HfApi()
        request = hub.dataset_info if kind == "dataset" else hub.model_info
        info = request(name, revision=revision, timeout=REQUEST_SECONDS)
        files = tuple(sorted(sibling.rfilename for sibling in info.siblings or ()))
        assert info.sha is not None
        return HubRepository(name, info.sha, files)

    try:
        return _within(DEADLINE_SECONDS, ask)
    except HFValidationError as error:
        raise HubError(
            f"neither a local folder nor a name the hub can have: {name!r}", hint=WITHOUT_HUB
        ) from error
    except Exception as error:
        translated = translate_hub_error(error, what)
        if translated is None:
            raise
        raise translated from error


def _within(seconds: float, function: Callable[[], Result]) -> Result:
    answer: Future[Result] = Future()

    def run() -> None:
        try:
            answer.set_result(function())
        except BaseException as error:  # noqa: BLE001 - it crosses over to the caller
            answer.set_exception(error)

    threading.Thread(target=run, name="hub-look-up", daemon=True).start()
    return answer.result(seconds)


def translate_hub_error(error: BaseException, what: str) -> HubError | None:
    """The HubError behind `error` or any of its causes; None when the hub has no part in it.

    `what` names what was asked for, as it reads in a sentence: "the model 'gpt2'".
    """
    chain = list(_chain(error))
    for translate in (_exact, _vague):
        for cause in chain:
            translated = translate(cause, what)
            if translated is not None:
                return translated
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


def _exact(error: BaseException, what: str) -> HubError | None:
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, HubError):
        return error
    if isinstance(error, OfflineModeIsEnabled):
        return HubError(
            f"offline: cannot get {what}, HF_HUB_OFFLINE is set",
            hint=WITHOUT_HUB,
        )
    if isinstance(error, HfHubHTTPError):
        return status_error(error.response.status_code, what, _wait(error.response))
    return _transport_error(error, what)


def _vague(error: BaseException, what: str) -> HubError | None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    if isinstance(error, (socket.gaierror, ConnectionRefusedError, LocalEntryNotFoundError)):
        return _offline(error, what)
    if isinstance(error, TimeoutError):
        return _silent(what)
    if isinstance(error, ConnectionError):
        return _broken(error, what)
    return None


def _wait(response: Any) -> str:
    seconds = str(response.headers.get("retry-after", ""))
    return (
        f", for {format_seconds(int(seconds))}" if seconds.isdecimal() and len(seconds) < 6 else ""
    )


def status_error(status: int, what: str, wait: str = "") -> HubError:
    """What an HTTP status of the hub means for a user."""
    if status in {401, 403}:
        return HubError(
            f"the hub refuses {what} (HTTP {status}): private, gated, or no such name",
            hint="check the name; where you have access, set HF_TOKEN",
        )
    if status in {404, 410}:
        return HubError(
            f"the hub does not have {what} (HTTP {status})", hint="check the name and the revision"
        )
    if status == 429:
        return HubError(
            f"the hub's rate limit was reached (HTTP 429{wait}), while getting {what}",
            hint=f"wait, or set HF_TOKEN for a higher limit; then {RUN_AGAIN}",
            transient=True,
        )
    if status == 408 or status >= 500:
        return HubError(
            f"the hub is unavailable (HTTP {status}), while getting {what}",
            hint=f"{RUN_AGAIN}; {WITHOUT_HUB}",
            transient=True,
        )
    return HubError(f"the hub answered HTTP {status} for {what}")


def _transport_error(error: BaseException, what: str) -> HubError | None:
    http = http_library()
    if isinstance(error, (http.ConnectError, http.ProxyError)):
        return _offline(error, what)
    if isinstance(error, http.TimeoutException):
        return _silent(what)
    return _broken(error, what) if isinstance(error, http.TransportError) else None


def _offline(error: BaseException, what: str) -> HubError:
    return HubError(
        f"offline: cannot reach the hub, {endpoint()}, for {what}: {_reason(error)}",
        hint=WITHOUT_HUB,
        transient=True,
    )


def _silent(what: str) -> HubError:
    return HubError(
        f"the hub does not answer: {endpoint()}, for {what}",
        hint=f"{RUN_AGAIN}; {WITHOUT_HUB}",
        transient=True,
    )


def _broken(error: BaseException, what: str) -> HubError:
    return HubError(
        f"connection to the hub lost while fetching {what}: {_reason(error)}",
        hint=f"{RUN_AGAIN}; {WITHOUT_HUB}",
        transient=True,
    )


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def endpoint() -> str:
    """The address of the hub in force."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def http_library() -> ModuleType:
    """The HTTP library under huggingface_hub: httpx for its first series, httpx2 for its second."""
    from huggingface_hub.errors import HfHubHTTPError

    base = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    return importlib.import_module(base.__module__.partition(".")[0])
