"""A whole program: the settings from the environment, one typed answer."""

from dcipher import Dcipher

with Dcipher() as client:
    assert client.runs.get("0-1", "1.0-0").succeeded
