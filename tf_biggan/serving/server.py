"""Runs the local server: the REST API, and a web page that generates images with it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.resources
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from tf_biggan import checks
from tf_biggan.serving.batching import Batcher
from tf_biggan.serving.request_errors import Limits
from tf_biggan.serving.rest_api import RestApi, errors_as_json
from tf_biggan.serving.served_model import ModelVersions, ServedModel, find_versions

DEFAULT_PORT = 8501
LOCAL_HOST = "127.0.0.1"
LARGEST_PORT = 65535
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Files of the web page and their content types, by address.
PAGE_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
# HTTP headers of every answer. Images may be data URLs, because the page receives them as JSON.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# Metadata of the SavedModel that the page needs. The server offers it at /model.json, because
# TensorFlow Serving's API has no address for it.
SHOWN_METADATA = (
    "class_names",
    "num_classes",
    "image_size",
    "licence_note",
    "truncation_mode",
    "max_batch",
)


def make_application(model: ServedModel, batcher: Batcher, limits: Limits) -> web.Application:
    """Returns the web application that serves a model.

    Args:
      model: Model to serve.
      batcher: Runs the requests.
      limits: Limits on the size and number of requests.
    """
    application = web.Application(middlewares=[errors_as_json], client_max_size=limits.body_bytes)
    application.on_response_prepare.append(_add_headers)
    application.add_routes(RestApi(model, batcher, limits).routes())
    application.add_routes([web.get(address, _file(*file)) for address, file in PAGE_FILES.items()])
    application.add_routes([web.get("/model.json", _description(model))])
    return application


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _file(name: str, content_type: str):
    """Returns a handler that answers with a file of the web page."""
    text = importlib.resources.files("tf_biggan.serving").joinpath(name).read_text("utf-8")

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type)

    return handler


def _description(model: ServedModel):
    """Returns the handler of /model.json: the model's name, versions and metadata."""

    async def handler(request: web.Request) -> web.Response:
        newest = await model.get(model.name, None)
        shown = {key: newest.metadata.get(key) for key in SHOWN_METADATA}
        versions = sorted(model.versions.folders, reverse=True)
        return web.json_response({"name": model.name, "versions": versions, **shown})

    return handler


def serve(
    path: str,
    port: int = DEFAULT_PORT,
    host: str = LOCAL_HOST,
    *,
    limits: Limits | None = None,
    say: Callable[[str], None] | None = None,
) -> int:
    """Serves a model until Ctrl-C or SIGTERM, then finishes the requests that are running.

    Args:
      path: Folder of a SavedModel, or folder that holds SavedModels in folders named by numbers.
      port: Port to listen on, or 0 for any free port.
      host: Address to listen on. By default, only this machine can connect.
      limits: Limits on the size and number of requests. None takes the defaults of `Limits`.
      say: Function that receives one line with the page's address at the start, and one line at the
        end. None prints the lines.

    Returns:
      The exit code.

    Raises:
      ValueError: There is no SavedModel, it cannot be loaded, or the port is not available.
    """
    checks.require_integer("port", port, minimum=0, maximum=LARGEST_PORT)
    versions = find_versions(path)
    limits, say = limits or Limits(), say or _print

    async def until_signal() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop.set)
        await run_server(versions, port, host, limits, stop, lambda url: say(_greeting(url)))

    asyncio.run(until_signal())
    say("Stopped.")
    return 0


async def run_server(
    versions: ModelVersions,
    port: int,
    host: str,
    limits: Limits,
    stop: asyncio.Event,
    ready: Callable[[str], None],
) -> None:
    """Serves a model until `stop` is set.

    Args:
      versions: Name of the model and folders of its versions.
      port: Port to listen on, or 0 for any free port.
      host: Address to listen on.
      limits: Limits on the size and number of requests.
      stop: Event that ends the server.
      ready: Function that receives the page's address once the server answers requests.

    Raises:
      ValueError: The model cannot be loaded, or the port is not available.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="model") as thread:
        model = ServedModel(versions, thread)
        batcher = Batcher(limits, thread)
        runner = web.AppRunner(
            make_application(model, batcher, limits),
            handler_cancellation=True,
            access_log=None,
            # Compressed bodies are refused later. Decompressing them here would let a small body
            # fill the memory before its size can be checked.
            auto_decompress=False,
            shutdown_timeout=limits.shutdown_seconds,
        )
        await runner.setup()
        worker = asyncio.create_task(batcher.work())
        try:
            await _listen(web.TCPSite(runner, host, port), host, port)
            ready(f"http://{_in_url(host)}:{runner.addresses[0][1]}/")
            await stop.wait()
        finally:
            await runner.cleanup()
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker


async def _listen(site, host: str, port: int) -> None:
    try:
        await site.start()
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        reason = "it is in use" if taken else str(error)
        raise ValueError(
            f"Cannot listen on port {port} of {host}: {reason}. Choose another port with"
            " --port, or any free port with --port=0."
        ) from error


def _print(line: str) -> None:
    # Flushed, because a program that starts the server may wait for this line.
    print(line, flush=True)


def _greeting(url: str) -> str:
    return f"Try the model at {url} (Ctrl-C stops the server)."


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
