"""Code that must differ between async and sync code, side by side.

Each pair has one name, with `Async`/`async_` in front of one.

Use anyio, never asyncio: `asyncio.wait_for` and `asyncio.timeout` lose connections of httpx when
they cancel (observed). It is imported at the first async call: the sync client does not need it.
"""
