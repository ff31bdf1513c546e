"""The modules of 0.3.5. `dcipher.__path__` has this folder: they are imported as `dcipher.client`, …."""
