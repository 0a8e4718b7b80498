"""Pods: the containers of units, their Pebble, and the objects that Juju writes for them."""
