"""Reads models, relations and policies through the `juju` on PATH."""
