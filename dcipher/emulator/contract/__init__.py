"""What goes over the wire, as models and as the OpenAPI document."""
