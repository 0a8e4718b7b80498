"""Serves the page on a loopback address and sends changes and calls to it."""
