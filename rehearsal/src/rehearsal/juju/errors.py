"""What a Juju command can fail with."""


class JujuError(Exception):
    """The command ran and failed: exit status 1, the message after `ERROR`."""


class UsageError(JujuError):
    """The command line is wrong: exit status 2."""


class SilentError(JujuError):
    """The command has already said why it ends, as a rule with exit status 1."""

    def __init__(self, status: int = 1) -> None:
        super().__init__()
        self.status = status
