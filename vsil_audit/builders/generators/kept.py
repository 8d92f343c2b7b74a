"""Images that were made are kept by what was asked for: nothing paid for is made twice, by whichever build."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from vsil_audit.builders.generators.base import GeneratedImage, GenerationFailure, ImageGenerator, ImageRequest
from vsil_audit.errors import RunFolderError
from vsil_audit.features.facts import ImageError
from vsil_audit.images import ImageLimits, inspect
from vsil_audit.places.cache import cache_folder
from vsil_audit.runs.folder import write_atomically

_SCHEMA = 1


class KeptImages:
    """A generator in front of which lies a folder. `made`, `found`: images made and found in this session."""

    def __init__(self, generator: ImageGenerator, folder: Path | None = None) -> None:
        """`folder`: that of all caches; None for the usual one."""
        self._generator = generator
        self._folder = (folder or cache_folder()) / "images"
        self._under_way: dict[str, asyncio.Future[GeneratedImage | GenerationFailure]] = {}
        self.identity, self.paid = generator.identity, generator.paid
        self.made = self.found = 0

    async def generate(self, request: ImageRequest) -> GeneratedImage | GenerationFailure:
        """The image that was made for an equal request before, or a new one; equal requests at once make one."""
        key = self.key(request)
        if key not in self._under_way:
            task = asyncio.ensure_future(self._find_or_make(key, request))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(self._under_way[key])  # kept, even when nobody waits for it any more

    async def close(self) -> None:
        """Close the generator, which waits for what is paid for, and wait until that is written."""
        await self._generator.close()
        if self._under_way:
            await asyncio.wait(list(self._under_way.values()))

    def key(self, request: ImageRequest) -> str:
        """sha256 hex over all that decides the image."""
        asked = {"schema": _SCHEMA, "generator": self.identity, **asdict(request)}
        text = json.dumps(asked, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    async def _find_or_make(self, key: str, request: ImageRequest) -> GeneratedImage | GenerationFailure:
        kept = await asyncio.to_thread(self._read, key)
        if kept is not None:
            self.found += 1
            return kept
        made = await self._generator.generate(request)
        if isinstance(made, GeneratedImage):
            header = inspect(made.data, "", ImageLimits())
            if isinstance(header, ImageError):
                return GenerationFailure("malformed", f"what came back is no image: {header.detail}")
            await asyncio.to_thread(self._write, key, made)
            self.made += 1
        return made

    def _file(self, key: str) -> Path:
        return self._folder / key[:2] / key

    def _read(self, key: str) -> GeneratedImage | None:
        """None for one that is not there, or was changed on disk: it is then made again."""
        try:
            line, _, data = self._file(key).read_bytes().partition(b"\n")
            told = json.loads(line)
            if hashlib.sha256(data).hexdigest() != told["sha256"]:
                return None
            return GeneratedImage(data, told["format"], told["revised_prompt"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, key: str, made: GeneratedImage) -> None:
        told = {
            "sha256": hashlib.sha256(made.data).hexdigest(),
            "format": made.format,
            "revised_prompt": made.revised_prompt,
        }
        try:
            write_atomically(self._file(key), json.dumps(told).encode() + b"\n" + made.data)
        except RunFolderError as error:
            raise RunFolderError(error.message, "Free some space, or name another folder with --cache.") from error
