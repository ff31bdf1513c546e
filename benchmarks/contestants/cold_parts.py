"""What dcipher is built on, without it: one request by httpx's transport, one model of Pydantic."""

import os

import httpx
from pydantic import BaseModel


class Status(BaseModel):
    status: str
    message: str | None = None


url = f"{os.environ['DCIPHER_BASE_URL']}/flows/0-1/status?taskId=1.0-0"
headers = {"Authorization": f"Api-Key {os.environ['DCIPHER_API_KEY']}"}
# Without a client, and without the certificates that plain http does not need.
with httpx.HTTPTransport(verify=url.startswith("https:")) as transport:
    response = transport.handle_request(httpx.Request("GET", url, headers=headers))
    assert Status.model_validate_json(response.read()).status == "SUCCEEDED"
