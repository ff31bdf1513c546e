"""Modules for annotations, which are imported when an annotation is resolved."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NoReturn, overload

__all__ = ["ClassOf", "Lazy"]


class Lazy:
    """A module for annotations, which is imported when an annotation is resolved.

    `typing.get_type_hints` and functions based on it resolve names in the globals of the module where
    a function stands, so that an import for type checkers alone is a NameError to them.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        try:
            module = import_module(self._name)
        except ImportError as error:
            if (error.name or "").partition(".")[0] == "dcipher":
                raise
            return Any  # the extra is not installed: its types are unknown
        return getattr(module, name)

    def __repr__(self) -> str:
        return f"<{self._name}, imported when it is used>"


class ClassOf:
    """An attribute that each instance sets. On the class, it is the class of their values.

    `dir`, `help`, `inspect.getmembers` and `unittest.mock.create_autospec` inspect only the class.
    """

    def __init__(self, module: Lazy, name: str) -> None:
        self._module = module
        self._name = name
        self._attribute: str = name

    def __set_name__(self, owner: type, attribute: str) -> None:
        self._attribute = attribute

    @overload
    def __get__(self, instance: None, owner: type) -> Any: ...

    @overload
    def __get__(self, instance: object, owner: type) -> NoReturn: ...

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return getattr(self._module, self._name)
        raise AttributeError(f"{owner.__name__!r} object has no attribute {self._attribute!r}")
