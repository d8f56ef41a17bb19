"""What a failed build says, in one sentence where the cause is a known one."""

from __future__ import annotations

import re

_FULL = re.compile(r"no space left on device", re.IGNORECASE)
_PULL = re.compile(
    r"failed to (?:resolve|do request|load metadata|authorize|copy)|pull access denied|"
    r"manifest unknown|error (?:creating build container|initializing source)|"
    r"unable to (?:pull|copy from)|Error response from daemon: Get ",
    re.IGNORECASE,
)
_TLS = re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate signed by unknown authority", re.I)


def cause(output: str, base: str) -> str | None:
    """The sentence for a full disk, a base that cannot be pulled, a proxy's certificate."""
    if _FULL.search(output):
        return "the engine's disk is full; free space, for example with `docker system prune`"
    if _TLS.search(output):
        return (
            "a certificate is not trusted, as behind a proxy that opens TLS; give its bundle "
            "with --ca-bundle, it is not kept in the image"
        )
    if _PULL.search(output):
        return f"the base image {base} cannot be pulled; the engine's reason is above"
    return None
