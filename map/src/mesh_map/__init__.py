"""A map of a service mesh on Juju: applications, and their allowed and denied calls."""
