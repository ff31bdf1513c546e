# Generated from dcipher/_async/__init__.py by scripts/unasync.py: edit that, not this.
