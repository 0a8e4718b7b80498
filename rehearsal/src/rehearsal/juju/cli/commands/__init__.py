"""The subcommands of `juju`, one file for each subject."""
