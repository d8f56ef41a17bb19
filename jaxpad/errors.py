"""Errors that are the caller's to mend."""


class UsageError(Exception):
    """Bad input: one sentence that names what was given, what was expected and the remedy.

    The command line prints the sentence, no traceback, and exits 2.
    """
