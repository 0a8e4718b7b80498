"""The subcommands of `juju-rehearsal`."""
