"""A whole program: the settings from the environment, one typed answer."""

import os

import httpx
from pydantic import BaseModel, TypeAdapter


class Status(BaseModel):
    status: str
    message: str | None = None


headers = {"Authorization": f"Api-Key {os.environ['DCIPHER_API_KEY']}"}
with httpx.Client(base_url=os.environ["DCIPHER_BASE_URL"], headers=headers) as client:
    response = client.get("/flows/0-1/status?taskId=1.0-0").raise_for_status()
    assert TypeAdapter(Status).validate_json(response.content).status == "SUCCEEDED"
