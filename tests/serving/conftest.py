"""The clients of export/, and one server in a thread for each test file, with small SavedModels."""

import asyncio
import contextlib
import importlib.util
import pathlib
import sys
import threading

import pytest

from tests.serving import saved_models
from tf_biggan.serving.request_errors import Limits
from tf_biggan.serving.served_model import find_versions
from tf_biggan.serving.server import LOCAL_HOST, run_server

CLIENTS = pathlib.Path(__file__).parents[2] / "export" / "clients"


@pytest.fixture(scope="module")
def clients():
    """Returns a function that loads a client of export/ by the name of its module."""
    sys.path.insert(0, str(CLIENTS))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, CLIENTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield load
    sys.path.remove(str(CLIENTS))


@pytest.fixture(scope="session")
def birds(tmp_path_factory):
    """Returns a folder `birds` with the versions 1 and 2, and a broken version 0."""
    base = tmp_path_factory.mktemp("models") / "birds"
    for version in "12":
        saved_models.save_conditional(str(base / version))
    (base / "0").mkdir()
    (base / "0" / "saved_model.pb").write_bytes(b"no SavedModel")
    (base / "notes").mkdir()
    return str(base)


@pytest.fixture(scope="session")
def textures(tmp_path_factory):
    """Returns a SavedModel without classes."""
    path = str(tmp_path_factory.mktemp("models") / "textures")
    saved_models.save_unconditional(path)
    return path


@contextlib.contextmanager
def running_server(path, limits=None):
    """Runs a server and yields the address of its page, without the final slash."""
    started, box = threading.Event(), {}

    async def main():
        box["loop"], box["stop"] = asyncio.get_running_loop(), asyncio.Event()

        def ready(url):
            box["url"] = url
            started.set()

        versions = find_versions(path)
        await run_server(versions, 0, LOCAL_HOST, limits or Limits(), box["stop"], ready)

    def target():
        try:
            asyncio.run(main())
        finally:
            started.set()

    thread = threading.Thread(target=target)
    thread.start()
    started.wait(60)
    try:
        yield box["url"].rstrip("/")
    finally:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def server(birds):
    """Runs a server of `birds` and yields its address."""
    with running_server(birds) as url:
        yield url
