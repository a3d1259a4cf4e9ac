"""Makes the Hugging Face libraries report a lost hub at once, instead of retrying for minutes.

Left alone they retry a read up to twenty times with up to a minute in between, print warnings
meanwhile, and in the end raise an error that no longer says what happened. Retrying is done
here, from a known state, where the user sees it and a stop is heard.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ghosttrack_cli.hub.errors import status_error, translate_hub_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ghosttrack_cli.errors import HubError

READ_SECONDS = 10.0


class HubWatch:
    """Sees every request for data; `failure` is the last one that the hub did not serve.

    Requests for models keep the libraries' own behaviour, which falls back to cached files.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.failure: HubError | None = None

    def install(self) -> None:
        """Take over the connections of huggingface_hub and the retries of datasets."""
        from datasets import config
        from huggingface_hub import set_client_factory

        config.STREAMING_READ_MAX_RETRIES = config.STREAMING_OPEN_MAX_RETRIES = 1
        config.STREAMING_READ_RETRY_INTERVAL = config.STREAMING_OPEN_RETRY_INTERVAL = 0
        config.STREAMING_READ_SERVER_UNAVAILABLE_RETRY_INTERVAL = 0
        config.STREAMING_READ_RATE_LIMIT_RETRY_INTERVAL = 0
        config.HF_UPDATE_DOWNLOAD_COUNTS = False
        set_client_factory(lambda: _client(self))

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Raise what the hub did wrong in the block, also where a library hid it."""
        self.failure = None
        try:
            yield
        except Exception as error:
            found = translate_hub_error(error, self.what) or self.failure
            if found is None or found is error:
                raise
            raise found from error
        if self.failure is not None:
            raise self.failure

    def failed(self, failure: HubError, request: Any) -> HubError:
        """Note a failure that concerns the data, not the libraries' telemetry."""
        if request.url.path.startswith(("/datasets/", "/api/datasets/")):
            self.failure = failure
        return failure


def _client(watch: HubWatch) -> Any:
    from huggingface_hub.utils._http import default_client_factory

    library_client: Any = type(default_client_factory())
    usual = default_client_factory()

    class Client(library_client):  # type: ignore[misc]
        def send(self, request: Any, **options: Any) -> Any:
            if is_model(request):
                return super().send(request, **options)
            limits = request.extensions.get("timeout") or {}
            request.extensions["timeout"] = {
                name: limits.get(name) or READ_SECONDS
                for name in ("connect", "read", "write", "pool")
            }
            try:
                response = super().send(request, **options)
            except Exception as error:
                failure = translate_hub_error(error, watch.what)
                raise (failure and watch.failed(failure, request)) or error from error
            failure = status_error(response.status_code, watch.what)
            if failure.transient:
                response.close()
                raise watch.failed(failure, request)
            return response

    return Client(
        event_hooks=usual.event_hooks, follow_redirects=usual.follow_redirects, timeout=READ_SECONDS
    )


def is_model(request: Any) -> bool:
    """Whether a request is for a model: its address says so."""
    path = request.url.path
    return path.startswith("/api/models/") or (
        "/resolve/" in path and not path.startswith("/datasets/")
    )
