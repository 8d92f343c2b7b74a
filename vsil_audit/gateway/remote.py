"""Models of OpenAI-compatible endpoints."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

from yarl import URL

from vsil_audit.features.facts import ImageError
from vsil_audit.gateway.answers import FailureKind
from vsil_audit.gateway.completion import BodyWriter
from vsil_audit.gateway.endpoints import Endpoint
from vsil_audit.gateway.image_url import RecentImages
from vsil_audit.gateway.messages import ImagePart, Request
from vsil_audit.gateway.provider import AttemptError, Reply
from vsil_audit.gateway.transport import Transport
from vsil_audit.pair import Json


class RemoteProvider:
    """One model of one OpenAI-compatible endpoint. Retries, limits and cache are the gateway's."""

    def __init__(self, endpoint: Endpoint, images: RecentImages | None = None) -> None:
        self.name = endpoint.provider
        self.model = endpoint.model
        self.billed = endpoint.billed
        self.identity: Mapping[str, Json] = MappingProxyType({"base_url": endpoint.base_url})
        self._base_url = endpoint.base_url
        self._images = images or RecentImages()
        self._bodies = BodyWriter(endpoint.model, endpoint.max_tokens_field)
        self._url = URL(endpoint.chat_url)
        self._transport = Transport(endpoint)

    def __repr__(self) -> str:
        return f"RemoteProvider({self.name}/{self.model} at {self._base_url})"

    async def complete(self, request: Request, timeout: float) -> Reply:
        """One attempt. Raises AttemptError."""
        urls = await self._data_urls(request) if request.images else {}
        return await self._transport.post(self._url, self._bodies.body(request, urls), timeout)

    async def _data_urls(self, request: Request) -> dict[ImagePart, str]:
        urls: dict[ImagePart, str] = {}
        for part in request.images:
            url = await asyncio.to_thread(self._images.get, part)
            if isinstance(url, ImageError):
                detail = f"{part.name}: {url.kind}: {url.detail}"
                raise AttemptError(FailureKind.IMAGE, detail, retry=False, sent=False)
            urls[part] = url
        return urls

    async def close(self) -> None:
        await self._transport.close()
