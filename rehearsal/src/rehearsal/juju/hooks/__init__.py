"""Hooks: which one comes next, and how the real charm code runs it."""
