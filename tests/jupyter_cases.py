"""What JupyterLab's server is given for a token, and whether it may start, in the image and not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

GOOD = "0123456789abcdef"  # 16 characters, the least
FILE = "FILE"  # stands for the token's file
PROVIDER = "jupyter_server.auth.identity.IdentityProvider"
HASH = "argon2:$argon2id$v=19$m=10240,t=10,p=8$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"


@dataclass(frozen=True)
class Given:
    """Variables, options, and what the token's file holds; None: no file, "/": a folder."""

    name: str
    refused: str  # words of the refusal; empty where it starts
    environ: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    content: str | None = None

    @property
    def token(self) -> str:
        """The token that lets in; empty for one that the server makes up."""
        every = [*self.environ.values(), *(word.partition("=")[2] for word in self.options)]
        return GOOD if GOOD in every or (self.content or "").strip() == GOOD else ""

    def file(self, folder: Path) -> Path:
        """The token's file, laid out in `folder`."""
        file = folder / "token"
        if self.content == "/":
            file.mkdir()
        elif self.content is not None:
            file.write_text(self.content)
            file.chmod(0o644)
        return file


def _file(name: str, content: str | None, refused: str) -> Given:
    return Given(f"file {name}", refused, {"JUPYTER_TOKEN_FILE": FILE}, content=content)


def _option(name: str, value: str, refused: str = "") -> Given:
    return Given(f"{name}={value}", refused, options=(f"--{name}={value}",))


SHORT = "expected at least 16"
CASES = (
    Given("nothing", ""),
    _file("good", GOOD, ""),
    _file("with a newline", f"{GOOD}\n", ""),
    _file("with DOS's newline", f"{GOOD}\r\n", ""),
    _file("empty", "", SHORT),
    _file("of a newline", "\n", SHORT),
    _file("of 15", f"{GOOD[1:]}\n", SHORT),
    _file("of blanks", " " * 40, SHORT),
    _file("not there", None, "cannot be read"),
    _file("a folder", "/", "cannot be read"),
    Given("file of no name", "cannot be read", {"JUPYTER_TOKEN_FILE": ""}),
    Given("file a device", "cannot be read", {"JUPYTER_TOKEN_FILE": "/dev/zero"}),
    Given("variable good", "", {"JUPYTER_TOKEN": GOOD}),
    Given("variable short", SHORT, {"JUPYTER_TOKEN": "letmein"}),
    Given("variable of blanks", SHORT, {"JUPYTER_TOKEN": " " * 20}),
    Given("variable empty", SHORT, {"JUPYTER_TOKEN": ""}),
    _option("IdentityProvider.token", GOOD),
    _option("IdentityProvider.token", "", SHORT),
    _option("IdentityProvider.token", "letmein", SHORT),
    _option("ServerApp.token", GOOD),
    _option("ServerApp.token", "", SHORT),
    _option("ServerApp.token", "letmein", SHORT),
    _option("AlwaysLocked.token", "", SHORT),
    _option("PasswordIdentityProvider.hashed_password", HASH, "a password alone does not lock"),
    _option("ServerApp.password", HASH, "a password alone does not lock"),
    Given(
        "password and no token",
        SHORT,
        options=(f"--ServerApp.password={HASH}", "--IdentityProvider.token="),
    ),
    Given(
        "another provider",
        "expected a subclass of",
        options=(f"--ServerApp.identity_provider_class={PROVIDER}", "--IdentityProvider.token="),
    ),
)
