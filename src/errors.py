"""The root of the errors that a user of the platform is meant to read."""


class VigieError(Exception):
    """Something a user can put right; its message says what was wrong, where, and what to do.

    The commands print it as one line and exit with status 2.
    """
