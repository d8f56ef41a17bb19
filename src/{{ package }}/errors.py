"""What a user can mend."""


class TrainError(Exception):
    """One sentence: what was given, what was expected, and what to do. The exit code is 2."""
