"""The one place where the version stands; pyproject.toml and `dcipher.__version__` read it."""

__version__ = "1.0.0"
