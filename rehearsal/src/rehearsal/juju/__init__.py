"""The rehearsal's Juju: models, applications and relations, with hooks on the real charm code."""
