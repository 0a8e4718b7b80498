"""Lays out a map and draws it as SVG."""
