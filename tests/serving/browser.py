"""Runs a headless Chromium over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import re
import shutil
import tempfile

import aiohttp

BINARIES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 20.0
FLAGS = (
    "--headless=new",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-port=0",
)


def find_chromium() -> str | None:
    """Returns the path of a browser, or None if there is none."""
    return next(filter(None, map(shutil.which, BINARIES)), None)


class Tab:
    """A page in a browser."""

    def __init__(self, socket):
        self._socket, self._numbers = socket, itertools.count(1)
        self.problems: list[str] = []

    async def send(self, method, **parameters):
        """Runs a command and returns its result. Problems that the page logs are collected."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=SECONDS)
            if message.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.problems.append(str(message["params"]))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]

    async def evaluate(self, expression):
        """Returns the value of a JavaScript expression."""
        result = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression):
        """Waits until an expression is true."""
        async with asyncio.timeout(SECONDS):
            while not await self.evaluate(expression):
                await asyncio.sleep(0.05)

    async def fill(self, element, value):
        """Sets the value of a control and fires the events of a user's typing."""
        await self.evaluate(
            f"(e => {{ e.value = {value!r};"
            " e.dispatchEvent(new Event('input', { bubbles: true })); })"
            f"(document.getElementById({element!r}))"
        )

    async def screenshot(self, path, width, height, scheme="light"):
        """Writes a PNG file of the page in a window of a given size."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.send("Emulation.setEmulatedMedia", features=[feature])
        data = (await self.send("Page.captureScreenshot"))["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))


@contextlib.asynccontextmanager
async def open_tab(url):
    """Opens a browser with one page."""
    # Chromium's sandbox refuses to run as root, which containers often do.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            find_chromium(),
            *FLAGS,
            *sandbox,
            f"--user-data-dir={profile}",
            "about:blank",
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            port = await _debugging_port(process.stderr)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    pages = [each for each in await answer.json() if each["type"] == "page"]
                address = pages[0]["webSocketDebuggerUrl"]
                async with session.ws_connect(address, max_msg_size=0) as socket:
                    tab = Tab(socket)
                    for domain in ("Page", "Runtime", "Log"):
                        await tab.send(f"{domain}.enable")
                    await tab.send("Page.navigate", url=url)
                    complete = "document.readyState === 'complete'"
                    await tab.until(f"{complete} && location.href !== 'about:blank'")
                    yield tab
        finally:
            process.terminate()
            await process.wait()


async def _debugging_port(stderr):
    async with asyncio.timeout(SECONDS):
        async for line in stderr:
            if match := re.search(rb"DevTools listening on ws://[^:]+:(\d+)/", line):
                return int(match[1])
    raise AssertionError("the browser ended at once")
