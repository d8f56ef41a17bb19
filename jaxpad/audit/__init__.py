"""Known vulnerabilities of what is pinned, with exceptions that have a reason and an end."""

from jaxpad.audit._command import Options as Options, audit as audit
