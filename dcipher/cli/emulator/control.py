"""The client of the control API of a running emulator."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dcipher.cli.state.running_emulators import running_emulators
from dcipher.cli.terminal.errors import CommandError, ExitCode, UsageError

if TYPE_CHECKING:
    from dcipher.cli.app.invocation import Invocation
    from dcipher.cli.state.running_emulators import RunningEmulator

__all__ = ["START", "Control", "only_emulator"]

START = "dcipher emulator start"
_PREFIX = "emu_"
_TIMEOUT = 10.0  # seconds


class Control:
    """The control API of an emulator."""

    def __init__(self, url: str, api_key: str | None) -> None:
        self.url = url
        self._headers = {"X-Dcipher-Emulator": "1"}
        # No other key is sent, because anybody may own the address.
        if api_key and api_key.startswith(_PREFIX):
            self._headers["Authorization"] = f"Api-Key {api_key}"

    @property
    def has_key(self) -> bool:
        """Whether a key is sent."""
        return "Authorization" in self._headers

    @classmethod
    def at(cls, call: Invocation, url: str) -> Control:
        """Returns the one at a URL."""
        return cls(url.rstrip("/"), _key_for(call, url))

    @classmethod
    def selected(cls, call: Invocation) -> Control:
        """Returns the one of `--base-url`, else of the environment, else the running one."""
        if call.options.base_url:
            return cls.at(call, call.options.base_url)
        url, key = os.environ.get("DCIPHER_BASE_URL"), os.environ.get("DCIPHER_API_KEY", "")
        if url and key.startswith(_PREFIX):
            return cls(url.rstrip("/"), key)
        emulator = only_emulator(None)
        return cls(emulator.url, emulator.api_key)

    def request(self, method: str, name: str, body: bytes | None = None) -> Any:
        """Sends a request. Returns the JSON of the response, or raises `CommandError`."""
        import httpx

        url = f"{self.url}/_emulator/{name}"
        options: dict[str, Any] = {"content": body, "headers": self._headers, "timeout": _TIMEOUT}
        try:
            # Without proxies, because an emulator is on this machine.
            response = httpx.request(method, url, trust_env=False, **options)
            found: Any = response.json()
            message = str(found["message"]) if response.is_error else ""
        except httpx.HTTPError as error:
            raise CommandError(
                f"No emulator responds at {self.url}: {error}.", next_step=START
            ) from error
        except (ValueError, TypeError, LookupError):
            raise CommandError(f"The server at {self.url} is not an emulator.") from None
        if response.is_error:
            raise CommandError(message, _CODES.get(response.status_code, ExitCode.FAILURE))
        return found


_CODES = {401: ExitCode.AUTHENTICATION, 422: ExitCode.USAGE, 400: ExitCode.USAGE}


def only_emulator(url: str | None) -> RunningEmulator:
    """Returns the running emulator, or the one with this URL. Raises `CommandError`."""
    running = running_emulators()
    found = [one for one in running if url is None or one.url == url.rstrip("/")]
    if len(found) == 1:
        return found[0]
    if not found:
        where = f" at {url}" if url else ""
        raise CommandError(f"No emulator of yours runs{where}.", next_step=START)
    raise UsageError(
        f"{len(found)} emulators run: {', '.join(one.url for one in found)}.",
        next_step=f"the same command with --base-url {found[0].url}",
    )


def _key_for(call: Invocation, url: str) -> str | None:
    """Returns the key for a URL: of --api-key-file, of our emulator there, or of the environment."""
    if call.options.api_key_file is not None:
        return next((layer["api_key"] for _, layer in call.layers if "api_key" in layer), None)
    for one in running_emulators():
        if one.url == url.rstrip("/"):
            return one.api_key
    return os.environ.get("DCIPHER_API_KEY")
