"""A whole program: the key from the environment, one answer; it has no other setting, and no look at a run."""

import os

from dcipher import Dcipher

Dcipher.BASE_URL = os.environ["DCIPHER_BASE_URL"]
assert Dcipher(api_key=None).run_flow("0-1", {})["task_id"]
