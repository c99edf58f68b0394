"""What goes wrong when the real servers cannot be started."""


class TestnetError(RuntimeError):
    """A real server could not be installed or started; the text says which and what to do."""

    __test__ = False  # a name with Test in it is not a test class
