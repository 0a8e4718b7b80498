"""The rehearsal: the bundle, charms and tests in seconds, without a cluster and without Juju."""
