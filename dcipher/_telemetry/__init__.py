"""Traces and metrics by OpenTelemetry, in a program that has imported it."""
