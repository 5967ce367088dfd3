"""The errors that a user is meant to read."""


class GazetuneError(Exception):
    """The work failed. The message says what was needed, what came and what to try; exit code 1."""

    exit_code = 1


class InputError(GazetuneError):
    """A command, a configuration or an input is not usable as given; exit code 2."""

    exit_code = 2


class Interrupted(BaseException):
    """The user or the system stopped the work and everything done so far is saved; exit code 130.

    Like KeyboardInterrupt it is no Exception, so that nothing on the way takes it for a failure.
    """
