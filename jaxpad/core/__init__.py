"""What every other part of jaxpad stands on: the one way to run a child, temporary folders."""
