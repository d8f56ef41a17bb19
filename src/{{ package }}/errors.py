"""What a user can fix."""


class TrainError(Exception):
    """One sentence: what was given, what was expected, and what to do. The exit code is 2."""
