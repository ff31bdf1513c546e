"""The contract as an OpenAPI document: FastAPI's own, reduced to what is the same in all versions.

Every operation, parameter, status, header and field has its source (`x-dcipher-source`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, cast

from fastapi.openapi.utils import get_openapi

from dcipher.emulator.contract.contract import (
    ASSUMED,
    OBSERVED,
    SOURCE,
    SPECIFIED,
    ErrorResponse,
    StartRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fastapi import FastAPI
    from pydantic import BaseModel, JsonValue

__all__ = ["api_extra", "api_responses", "document", "result_extra", "result_responses"]

Object: TypeAlias = "dict[str, JsonValue]"
Responses: TypeAlias = "dict[int | str, dict[str, object]]"

_SCHEMAS: Final = "#/components/schemas/"
_DESCRIPTION: Final = (
    "Start runs of Dcipher flows, fetch their status and their results. Every operation, parameter, "
    "status, header and field has a source: `x-dcipher-source` is `observed` (the behavior of the "
    "published client), `specified` (a requirement of the SDK) or `assumed` (a choice where nothing "
    "is known)."
)
_ERRORS: Final = {
    400: "The request cannot be read: its body is missing or is not JSON.",
    401: "The API key or the signature is missing or invalid.",
    403: "The API key has no permission for this.",
    404: "There is no such flow, or no such run of it.",
    409: "A start with the same Idempotency-Key is in progress.",
    422: "The request is invalid. `detail` has the locations.",
    429: "Too many requests. Retry-After has the seconds to wait.",
    500: "The service failed.",
    503: "The service is unavailable. Retry-After may have the seconds to wait.",
}
_RESULTS: Final[dict[int, tuple[str, Mapping[str, JsonValue]]]] = {
    206: ("The requested range of the result file.", ASSUMED),
    304: ("The result file matches If-None-Match.", ASSUMED),
    400: ("The request has an Authorization header in addition to the signature.", ASSUMED),
    403: ("The signature is missing or invalid, or the URL has expired.", ASSUMED),
    404: ("The result does not exist yet.", ASSUMED),
    412: ("The result file does not match If-Match.", ASSUMED),
    416: ("The range is outside of the result file.", ASSUMED),
    500: ("The service failed.", SPECIFIED),
    503: ("The service is unavailable.", SPECIFIED),
}


def _header(description: str) -> Object:
    return {"description": description, "schema": {"type": "string"}, **ASSUMED}


_REQUEST_ID: Final[Object] = {
    "X-Request-Id": _header("The id of the request in the service's logs.")
}
_RETRY_AFTER: Final[Object] = {"Retry-After": _header("Seconds to wait.")}
_FILE: Final[Object] = {
    "Accept-Ranges": _header("bytes"),
    "ETag": _header("A strong validator of the whole file."),
    "Last-Modified": _header("When the file was created."),
    "Repr-Digest": _header("The digest of the whole file (RFC 9530)."),
    **_REQUEST_ID,
}
_CONTENT_RANGE: Final[Object] = {"Content-Range": _header("The range of the bytes, and the total.")}
_BINARY: Final[Object] = {
    # The flow chooses the content type of its file.
    "*/*": {"schema": {"type": "string", "format": "binary"}}
}
_XML: Final[Object] = {"application/xml": {"schema": {"type": "string"}}}


def api_responses(description: str, model: type[BaseModel], source: Object) -> Responses:
    """Returns the documented statuses of an operation that requires the API key."""
    responses: Responses = {
        200: {"description": description, "model": model, "headers": _REQUEST_ID, **source}
    }
    for status, text in _ERRORS.items():
        headers = {**_REQUEST_ID, **(_RETRY_AFTER if status in {409, 429, 503} else {})}
        responses[status] = {
            "description": text,
            "model": ErrorResponse,
            "headers": headers,
            **SPECIFIED,
        }
    return responses


def api_extra(source: Object, *, body: bool = False) -> dict[str, object]:
    """Returns what FastAPI does not know of an operation that requires the API key."""
    signed = ["Signature-Input", "Signature", *(["Content-Digest"] if body else [])]
    extra: dict[str, object] = {
        **source,
        "security": [{"ApiKey": []}],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": False,
                "description": _SIGNATURE_HEADERS[name],
                "schema": {"type": "string"},
                **SPECIFIED,
            }
            for name in signed
        ],
    }
    if body:
        schema = {"$ref": _SCHEMAS + StartRequest.__name__}
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
            **OBSERVED,
        }
    return extra


def result_responses() -> Responses:
    """Returns the documented statuses of a signed URL."""
    responses: Responses = {
        200: {"description": "The result file.", "content": _BINARY, "headers": _FILE, **OBSERVED}
    }
    for status, (text, source) in _RESULTS.items():
        responses[status] = {"description": text, "headers": _REQUEST_ID, **source}
        if status >= 400:
            responses[status]["content"] = _XML
    responses[206] |= {"content": _BINARY, "headers": {**_FILE, **_CONTENT_RANGE}}
    responses[304] |= {"headers": _FILE}
    responses[416] |= {"headers": {**_CONTENT_RANGE, **_REQUEST_ID}}
    return responses


def result_extra() -> dict[str, object]:
    """Returns what FastAPI does not know of a signed URL."""
    query = {
        "Expires": "When the URL expires, in seconds since the epoch.",
        "Signature": "The signature of the rest.",
    }
    headers = ("Range", "If-Match", "If-None-Match", "If-Range")
    return {
        **OBSERVED,
        "security": [],
        "parameters": [
            *_parameters("query", query.items(), required=True),
            *_parameters("header", ((name, "RFC 9110.") for name in headers), required=False),
        ],
    }


def document(app: FastAPI) -> Object:
    """Returns the OpenAPI document, the same with every supported version of FastAPI and Pydantic."""
    made = cast(
        "Object",
        get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            description=_DESCRIPTION,
            routes=app.routes,
        ),
    )
    components = _object(made.pop("components", None))
    schemas = _object(components.get("schemas"))
    own = cast("Object", StartRequest.model_json_schema(ref_template=_SCHEMAS + "{model}"))
    schemas |= {**_object(own.pop("$defs", None)), StartRequest.__name__: own}
    paths = _object(_reduced(made.pop("paths")))
    for operations in paths.values():
        for operation in _object(operations).values():
            _settle(_object(operation))
    return {
        **made,
        "paths": paths,
        "components": {
            "schemas": {
                name: _reduced(schema)
                for name, schema in sorted(schemas.items())
                if name not in _FASTAPI_SCHEMAS
            },
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Authorization: Api-Key <key>`",
                    **OBSERVED,
                }
            },
        },
    }


_FASTAPI_SCHEMAS: Final = frozenset({"HTTPValidationError", "ValidationError"})
_SIGNATURE_HEADERS: Final = {
    "Signature-Input": "What is signed, and how (RFC 9421). The service may require it.",
    "Signature": "The signature (RFC 9421, hmac-sha256).",
    "Content-Digest": "The digest of the body (RFC 9530), which is signed.",
}


def _parameters(
    place: str, described: Iterable[tuple[str, str]], *, required: bool
) -> Iterable[Object]:
    for name, description in described:
        schema: Object = {"type": "string"}
        yield {
            "name": name,
            "in": place,
            "required": required,
            "description": description,
            "schema": schema,
            **ASSUMED,
        }


def _object(value: JsonValue) -> Object:
    return value if isinstance(value, dict) else {}


def _settle(operation: Object) -> None:
    """Corrects what FastAPI cannot express.

    FastAPI accepts the label of a parameter only in its schema; it belongs to the parameter. A
    status without a label was added by FastAPI.
    """
    parameters = operation.get("parameters")
    for parameter in map(_object, parameters if isinstance(parameters, list) else []):
        label = _object(parameter.get("schema")).pop(SOURCE, None)
        if label is not None:
            parameter[SOURCE] = label
    responses = _object(operation.get("responses"))
    operation["responses"] = {
        status: response for status, response in responses.items() if SOURCE in _object(response)
    }


def _reduced(value: JsonValue, *, names: bool = False) -> JsonValue:
    """Returns a part of the document without redundant keys, which differ between versions.

    With `names`, the keys are chosen names, as in `properties`, not keywords.
    """
    if isinstance(value, list):
        return [_reduced(item) for item in value]
    if not isinstance(value, dict):
        return value
    if names:
        return {name: _reduced(item) for name, item in value.items()}
    kept: Object = {
        key: _reduced(item, names=key in {"properties", "headers"})
        for key, item in value.items()
        if not _is_redundant(key, item)
    }
    return _unwrapped(kept)


def _is_redundant(key: str, value: JsonValue) -> bool:
    return (
        (key == "title" and isinstance(value, str))
        or (key == "default" and value is None)
        or (key == "additionalProperties" and value is True)
    )


def _unwrapped(schema: Object) -> Object:
    """Replaces a schema that only wraps another one, or one and null, by that one."""
    for word in ("allOf", "anyOf"):
        branches = schema.get(word)
        if isinstance(branches, list):
            real = [branch for branch in branches if branch != {"type": "null"}]
            if len(real) == 1:
                rest = {key: item for key, item in schema.items() if key != word}
                return {**_object(real[0]), **rest}
    return schema
