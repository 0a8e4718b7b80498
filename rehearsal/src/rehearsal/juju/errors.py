"""The errors of Juju commands."""


class JujuError(Exception):
    """Raised if a command fails: exit status 1, with the message after `ERROR`."""


class UsageError(JujuError):
    """Raised if a command line is wrong: exit status 2."""


class SilentError(JujuError):
    """Raised after a command has printed its error itself. The exit status is usually 1."""

    def __init__(self, status: int = 1) -> None:
        super().__init__()
        self.status = status
