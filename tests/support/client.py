"""Asks an application without a server."""

import asyncio

import httpx


class Client:
    """Asks an ASGI application as HTTP would."""

    def __init__(self, app, client: str = "127.0.0.1", host: str = "localhost") -> None:
        self._app, self._client, self._host = app, client, host

    def __call__(self, method: str, path: str, **options) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, client=(self._client, 1234), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{self._host}") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())
