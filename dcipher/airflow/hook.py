"""`DcipherHook`: clients for a connection of Airflow."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# Airflow is not installed where the types are checked.

from __future__ import annotations

import anyio.to_thread
from airflow.sdk import BaseHook

from dcipher import AsyncDcipher, Dcipher
from dcipher.airflow.provider_info import CONNECTION_TYPE
from dcipher.airflow.tasks import client_options, explained
from dcipher.errors import DcipherError, NotFoundError

__all__ = ["DcipherHook"]

_NO_FLOW = "connection-test"


class DcipherHook(BaseHook):
    """A connection to Dcipher: its password is the API key, its host the base URL.

    Without a host, the base URL is `base_url` in the extra, else `DCIPHER_BASE_URL`, else the
    default. `api_secret` in the extra signs every request. Nothing is looked up or sent until a
    client is asked for.

    Args:
        dcipher_conn_id: The id of the connection.
    """

    conn_name_attr = "dcipher_conn_id"
    default_conn_name = "dcipher_default"
    conn_type = CONNECTION_TYPE
    hook_name = "Dcipher"

    def __init__(self, dcipher_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.dcipher_conn_id = dcipher_conn_id

    def get_conn(self) -> Dcipher:
        """Returns a new client. Close it, or use it as a context manager."""
        connection = self.get_connection(self.dcipher_conn_id)
        return Dcipher(**client_options(connection, connection.extra_dejson))

    async def aget_conn(self) -> AsyncDcipher:
        """Returns a new async client, for triggers."""
        connection = await self.aget_connection(self.dcipher_conn_id)
        options = client_options(connection, await connection.aextra_dejson())
        # It reads certificates and a `.env` file: not in the thread of all other triggers.
        return await anyio.to_thread.run_sync(lambda: AsyncDcipher(**options))

    def test_connection(self) -> tuple[bool, str]:
        """Requests a flow that does not exist: the API checks the key before it looks for the flow."""
        try:
            with self.get_conn() as client:
                client.with_options(max_retries=0, timeout=10).flows.get(_NO_FLOW)
        except NotFoundError as error:
            if error.error is None:  # a page of another server
                return False, str(error)
        except DcipherError as error:
            return False, explained(error, self.dcipher_conn_id)
        return True, "The API accepts the key."
