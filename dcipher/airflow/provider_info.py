"""The metadata that Airflow reads of a provider, with the form of its connection; pure."""

from __future__ import annotations

from typing import Any

__all__ = ["CONNECTION_TYPE", "get_provider_info"]

CONNECTION_TYPE = "dcipher"


def get_provider_info() -> dict[str, Any]:
    """Returns the metadata in the form of Airflow's `provider_info.schema.json`."""
    return {
        "package-name": "dcipher",
        "name": "Dcipher",
        "description": "Runs flows of the Dcipher Workflows API.",
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": "dcipher.airflow.DcipherHook",
                "hook-name": "Dcipher",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "schema", "port"],
                    "relabeling": {"host": "Base URL", "password": "API key"},
                    "placeholders": {"host": "https://api.dcipheranalytics.com"},
                },
                "conn-fields": {
                    "api_secret": {
                        "label": "API secret",
                        "description": "Signs every request (RFC 9421). Empty: they are not signed.",
                        "schema": {"type": ["string", "null"], "format": "password"},
                    },
                },
            }
        ],
    }
