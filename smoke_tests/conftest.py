"""Fixtures that every check may use, also where pytest is run by hand."""

from jaxpad.fixtures import bounds, facts, judgement, measure, rate, survey

__all__ = ["bounds", "facts", "judgement", "measure", "rate", "survey"]
