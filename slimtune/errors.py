"""Errors that a user can fix: one line that names the bad value and the next step, and an exit code."""


class UserError(Exception):
    """An error in what the user typed or has on the disk. Printed as one line; exit code 1."""

    exit_code = 1


class UsageError(UserError):
    """An error in the command line itself. Exit code 2."""

    exit_code = 2


def nearest(name, known, count=3):
    """The names of `known` most like `name`, best first, for 'did you mean'."""
    import difflib
    return difflib.get_close_matches(name, list(known), n=count, cutoff=0.4)
