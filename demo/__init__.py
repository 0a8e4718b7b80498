"""The story that `make demo` tells, on any Juju controller."""
