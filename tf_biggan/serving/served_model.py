"""The model that is served: its versions, loaded when they are first needed."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from tf_biggan.serving.request_errors import RequestError
from tf_biggan.serving.saved_model import SavedModel, load_saved_model
from tf_biggan.serving.versions import ModelVersions


class ServedModel:
    """All versions of a model by number. The newest is loaded at once, others on request.

    Args:
      versions: where they lie.
      thread: loads them.

    Raises:
      ValueError: the newest cannot be loaded.
    """

    def __init__(self, versions: ModelVersions, thread: ThreadPoolExecutor):
        self.versions, self._thread = versions, thread
        self._loaded = {versions.newest: load_saved_model(versions.folders[versions.newest])}
        self._broken: dict[int, str] = {}
        self._loading = asyncio.Lock()

    @property
    def name(self) -> str:
        """Of the model, in the API's addresses."""
        return self.versions.name

    async def get(self, name: str, version: int | None) -> SavedModel:
        """A version of the model; the newest for None.

        Raises:
          RequestError: another name, or no such version, or it cannot be loaded.
        """
        number = self.number(name, version)
        async with self._loading:
            if number not in self._loaded and number not in self._broken:
                await self._load(number)
        if number in self._broken:
            raise RequestError(404, self._broken[number])
        return self._loaded[number]

    def number(self, name: str, version: int | None) -> int:
        """The number of a version; the newest for None.

        Raises:
          RequestError: another name, or no such version.
        """
        if name != self.name:
            raise RequestError(404, f"No model {name!r} is served; there is: {self.name!r}.")
        if version is None:
            return self.versions.newest
        if version not in self.versions.folders:
            there = ", ".join(map(str, self.versions.folders))
            raise RequestError(
                404, f"No version {version} of {name!r} is served; there are: {there}."
            )
        return version

    def error(self, number: int) -> str | None:
        """Why a version could not be loaded; None where it could, or was not tried yet."""
        return self._broken.get(number)

    async def _load(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        folder = self.versions.folders[number]
        try:
            loaded = await loop.run_in_executor(self._thread, load_saved_model, folder)
        except ValueError as error:
            self._broken[number] = str(error)
        else:
            self._loaded[number] = loaded
