"""A decorator for functions that receive secrets, so that tracebacks do not contain them."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from dcipher.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["drops_frames"]

P = ParamSpec("P")
T = TypeVar("T")


def drops_frames(function: Callable[P, T]) -> Callable[P, T]:
    """Makes `function` raise without our frames, and a `ConfigurationError` without its cause, too.

    Error reporters record the variables of frames: key, secret, and passwords of proxies.
    """

    @wraps(function)
    def outermost(*args: P.args, **kwargs: P.kwargs) -> T:
        outer = sys.exc_info()[1]  # what the program was handling when it called
        try:
            return function(*args, **kwargs)
        except ConfigurationError as error:
            del args, kwargs
            is_hidden = error.__suppress_context__
            error.__cause__, error.__context__ = None, outer
            error.__suppress_context__ = is_hidden
            raise error.with_traceback(None)  # noqa: B904 - it has no cause
        except BaseException as error:  # a TypeError for an unknown argument, Ctrl-C
            del args, kwargs
            from dcipher._masking.tracebacks import presentable

            presentable(error, outer)
            raise error  # noqa: TRY201 - a bare `raise` puts the frames back

    return outermost
