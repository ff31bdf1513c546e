"""The client of the control API of a running emulator."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from dcipher.cli.state.running_emulators import running_emulators
from dcipher.cli.terminal.failures import CommandError, ExitCode

if TYPE_CHECKING:
    from urllib.error import HTTPError

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
    def meant(cls, call: Invocation) -> Control:
        """Returns the one of `--base-url`, else of the environment, else the running one."""
        if call.options.base_url:
            return cls.at(call, call.options.base_url)
        url, key = os.environ.get("DCIPHER_BASE_URL"), os.environ.get("DCIPHER_API_KEY", "")
        if url and key.startswith(_PREFIX):
            return cls(url.rstrip("/"), key)
        emulator = only_emulator(None)
        return cls(emulator.url, emulator.api_key)

    def ask(self, method: str, name: str, body: bytes | None = None) -> Any:
        """Sends a request. Returns the JSON of the response, or raises `CommandError`."""
        from http.client import HTTPException
        from urllib.error import HTTPError
        from urllib.request import ProxyHandler, Request, build_opener

        request = Request(  # noqa: S310 - the user's own address, or ours
            f"{self.url}/_emulator/{name}", data=body, headers=self._headers, method=method
        )
        # Without proxies, because an emulator is on this machine.
        opener = build_opener(ProxyHandler({}))
        try:
            with opener.open(request, timeout=_TIMEOUT) as answer:
                return json.loads(answer.read())
        except HTTPError as error:
            raise _refused(error, self.url) from None
        except (OSError, HTTPException) as error:
            raise CommandError(
                f"No emulator responds at {self.url}: {getattr(error, 'reason', error)}.",
                next_step=START,
            ) from error
        except ValueError:
            raise CommandError(f"The server at {self.url} is not an emulator.") from None


def only_emulator(url: str | None) -> RunningEmulator:
    """Returns the running emulator, or the one with this URL. Raises `CommandError`."""
    running = running_emulators()
    found = [one for one in running if url is None or one.url == url.rstrip("/")]
    if len(found) == 1:
        return found[0]
    if not found:
        where = f" at {url}" if url else ""
        raise CommandError(f"No emulator of yours runs{where}.", next_step=START)
    raise CommandError(
        f"{len(found)} emulators run: {', '.join(one.url for one in found)}.",
        ExitCode.USAGE,
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


def _refused(error: HTTPError, url: str) -> CommandError:
    try:
        message = json.loads(error.read())["message"]
    except (OSError, ValueError, TypeError, LookupError):
        return CommandError(f"The server at {url} is not an emulator (status {error.code}).")
    code = {401: ExitCode.AUTHENTICATION, 422: ExitCode.USAGE, 400: ExitCode.USAGE}
    return CommandError(str(message), code.get(error.code, ExitCode.FAILURE))
