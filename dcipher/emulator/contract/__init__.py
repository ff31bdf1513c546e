"""The bodies of requests and responses as models, and the OpenAPI document."""
