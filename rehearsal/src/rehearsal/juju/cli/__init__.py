"""The `juju` command: its words, tables, streams and exit statuses."""
