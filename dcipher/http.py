"""HTTP clients for any JSON API with an API key.

Values that are derived from one another and build httpx clients.

```python
client = HTTPAuthenticatedClient("https://api.example.com", api_key="…").with_timeout(10)
client.get_or_create_httpx_client().get("/things")
```

A derived client has its own httpx client and shares the connections of the one that it came from.
"""

from __future__ import annotations

from ._wire.authenticated_client import HTTPAuthenticatedClient
from ._wire.http_client import HTTPClient, request_timeout

__all__ = ["HTTPAuthenticatedClient", "HTTPClient", "request_timeout"]
