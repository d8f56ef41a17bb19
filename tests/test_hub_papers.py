"""The licence and the papers that people look for in a repository."""

from __future__ import annotations

import hashlib
import re
import tomllib

import jaxpad
from helpers import HOME

# Of https://www.apache.org/licenses/LICENSE-2.0.txt as Debian ships it in base-files
# (/usr/share/common-licenses/Apache-2.0) and absl-py in its wheel.
APACHE = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
CHANGELOG = (HOME / "CHANGELOG.md").read_text()


def test_licence_is_apache() -> None:
    assert hashlib.sha256((HOME / "LICENSE").read_bytes()).hexdigest() == APACHE


def test_toolkit_takes_its_licence_along() -> None:
    """A project made from the template copies jaxpad/, and the image too."""
    assert (HOME / "jaxpad/LICENSE").read_bytes() == (HOME / "LICENSE").read_bytes()


def test_licence_is_declared() -> None:
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])


def test_changelog_is_of_this_version() -> None:
    versions = re.findall(r"^## \[([^\]]+)\] - (\S+)$", CHANGELOG, re.MULTILINE)
    assert versions[0][0] == jaxpad.__version__
    assert all(re.fullmatch(r"unreleased|\d{4}-\d\d-\d\d", date) for _, date in versions)


def test_changelog_uses_known_headings() -> None:
    known = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Not verified"}
    assert set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)) <= known


def test_contributing_is_the_readmes_command() -> None:
    command = "python3 -m jaxpad.bootstrap test"
    assert command in (HOME / "README.md").read_text()
    assert command in (HOME / "CONTRIBUTING.md").read_text()


def test_security_names_no_address() -> None:
    text = (HOME / "SECURITY.md").read_text()
    assert "Report a vulnerability" in text
    assert not re.search(r"\S+@\S+", text)


def test_links_exist() -> None:
    for page in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (HOME / page).read_text()):
            assert (HOME / target).exists() or target == "docs/supply-chain.md", (page, target)
