"""The calls that applications make to each other, and their results."""
