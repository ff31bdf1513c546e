"""How much dcipher costs, measured against plain httpx in one run: `python -m benchmarks`."""
