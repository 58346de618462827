"""The server's addresses put together: the REST API, and the page that uses it."""

from __future__ import annotations

import importlib.resources

from aiohttp import web

from tf_biggan.serving.batching import Batcher
from tf_biggan.serving.limits import Limits
from tf_biggan.serving.rest_api import RestApi, errors_as_json
from tf_biggan.serving.served_model import ServedModel

PAGE_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
# Pictures are data URLs, since they come out of the API's JSON.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# Of the SavedModel's metadata, what the page shows; TensorFlow Serving's API has no place for it.
SHOWN_METADATA = (
    "class_names",
    "num_classes",
    "image_size",
    "licence_note",
    "truncation_mode",
    "max_batch",
)


def make_application(model: ServedModel, batcher: Batcher, limits: Limits) -> web.Application:
    """The application of a served model."""
    application = web.Application(middlewares=[errors_as_json], client_max_size=limits.body_bytes)
    application.on_response_prepare.append(_add_headers)
    application.add_routes(RestApi(model, batcher, limits).routes())
    application.add_routes([web.get(address, _file(*file)) for address, file in PAGE_FILES.items()])
    application.add_routes([web.get("/model.json", _description(model))])
    return application


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _file(name: str, content_type: str):
    text = importlib.resources.files("tf_biggan.serving").joinpath(name).read_text("utf-8")

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type)

    return handler


def _description(model: ServedModel):
    async def handler(request: web.Request) -> web.Response:
        newest = await model.get(model.name, None)
        shown = {key: newest.metadata.get(key) for key in SHOWN_METADATA}
        versions = sorted(model.versions.folders, reverse=True)
        return web.json_response({"name": model.name, "versions": versions, **shown})

    return handler
