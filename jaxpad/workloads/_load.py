"""Find a workload by its name or by where a user's own is."""

from __future__ import annotations

from jaxpad.errors import UsageError
from jaxpad.profiles import did_you_mean, listed
from jaxpad.project import project
from jaxpad.workloads._built_in import BUILT_IN
from jaxpad.workloads._model import Workload
from jaxpad.workloads._own import own


def names() -> tuple[str, ...]:
    """The names of the workloads that jaxpad brings, and of the project's own."""
    return (*BUILT_IN, *project().workloads)


def load(name_or_reference: str) -> Workload:
    """One workload: a name, or `package.module:function` for a user's own.

    The module is looked for as Python does, in the current folder first; docs/workloads.md
    says what its function gets and returns.

    Raises UsageError for a name that is not known, a module that is not found or does not
    import, and a function that is not in it or says wrongly which devices it wants.
    """
    if ":" in name_or_reference:
        return own(name_or_reference)
    if name_or_reference in project().workloads:
        return own(project().workloads[name_or_reference])
    if name_or_reference not in BUILT_IN:
        hint = did_you_mean(name_or_reference, names()) or f"; there are {listed(names())}"
        raise UsageError(
            f"no workload is called {name_or_reference!r} (your own is package.module:function)"
            f"{hint}"
        )
    return BUILT_IN[name_or_reference]
