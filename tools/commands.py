"""The commands that only a checkout has: they keep its pins, style, tests and docs in order."""

from __future__ import annotations

from jaxpad.commands import MAINTAIN, Command

_HERE = "tools.options:"
COMMANDS = (
    Command(
        "audit",
        MAINTAIN,
        "Say which pins have known vulnerabilities.",
        "tools.audit:audit",
        f"{_HERE}AuditOptions",
        "invoke audit",
    ),
    Command(
        "docs",
        MAINTAIN,
        "Renew the generated tables in README.md and docs/.",
        "tools.docs:docs_command",
        f"{_HERE}DocsOptions",
        "invoke docs",
    ),
    Command(
        "lint",
        MAINTAIN,
        "Check style, types and shell scripts.",
        "tools.upkeep:lint_command",
        f"{_HERE}LintOptions",
        "invoke lint --fix",
    ),
    Command(
        "lock",
        MAINTAIN,
        "Renew the hash-pinned requirements/*.txt from requirements/*.in.",
        "tools.upkeep:lock_command",
        f"{_HERE}LockOptions",
        "invoke lock --upgrade",
    ),
    Command(
        "sbom",
        MAINTAIN,
        "Write down every package of an image, as a CycloneDX document.",
        "tools.sbom:sbom",
        f"{_HERE}SbomOptions",
        "invoke sbom --image jaxpad:latest",
    ),
    Command(
        "site",
        MAINTAIN,
        "Build the docs site.",
        "tools.site:site",
        f"{_HERE}SiteOptions",
        "invoke site --serve",
    ),
    Command(
        "test",
        MAINTAIN,
        "Run the project's own tests.",
        "tools.upkeep:test_command",
        f"{_HERE}OwnTestsOptions",
        "invoke test --quick",
    ),
)
