"""HTTP clients for any JSON API with an API key.

They are immutable, derive other clients, and build httpx clients.

```python
client = HTTPAuthenticatedClient("https://api.example.com", api_key="…").with_timeout(10)
client.get_or_create_httpx_client().get("/things")
```

A derived client builds its own httpx client, which shares the connections of the original.
"""

from __future__ import annotations

from ._wire.arguments import request_timeout
from ._wire.authenticated_client import HTTPAuthenticatedClient
from ._wire.http_client import HTTPClient

__all__ = ["HTTPAuthenticatedClient", "HTTPClient", "request_timeout"]
