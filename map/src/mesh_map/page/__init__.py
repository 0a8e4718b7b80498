"""Makes a self-contained HTML page of a map."""
