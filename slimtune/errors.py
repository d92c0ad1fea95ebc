"""What a user can mend: one line that names the bad value and what would be right, and an exit code."""


class UserError(Exception):
    """A mistake of the user's, or of the machine's that the user can mend. Printed as one line; exit code
    1."""

    exit_code = 1


class UsageError(UserError):
    """The command line itself is wrong. Exit code 2."""

    exit_code = 2


def nearest(name, known, count=3):
    """The names of `known` most like `name`, best first, for 'did you mean'."""
    import difflib
    return difflib.get_close_matches(name, list(known), n=count, cutoff=0.4)
