"""Whether the evidence is of the XLA that is installed."""

from __future__ import annotations

from jaxpad import flags, profiles
from jaxpad.matrix._file import read


def unproven(profile: profiles.Profile) -> str | None:
    """One sentence where nothing is kept of the profile's flags with the installed jaxlib.

    None where there is, or where it has no flags. Raises UsageError as `read` does.
    """
    version, seen = flags.jaxlib_version(), {build.jaxlib for build in read().builds}
    if version in seen or not profiles.select(profile, version):
        return None
    return (
        f"unproven here: what its flags do was seen with jaxlib {profiles.listed(sorted(seen))}, "
        f"not {version}; see it with jaxpad profile.explain"
    )
