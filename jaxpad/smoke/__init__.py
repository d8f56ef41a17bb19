"""The smoke suite: each check file in a child of its own, and a verdict for every check."""
