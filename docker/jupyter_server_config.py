"""JupyterLab in the image: a token always, and the workspace as its folder.

The token comes from the file that JUPYTER_TOKEN_FILE names (`launch` mounts one), from
JUPYTER_TOKEN or from an option; else the server makes a random one at each start and prints its
address. However it came, one of fewer than 16 characters keeps the server from starting. Inside
the container it listens on every interface, as a published port needs; `launch` and compose.yaml
publish on loopback only.
"""

import os
import secrets
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import PasswordIdentityProvider
from jupyter_server.serverapp import ServerApp
from traitlets import TraitError, default, validate

LEAST = 16  # characters: 62 ** 16 is more than anybody tries
MOST = 4096  # bytes of a token's file
REMEDY = "give a longer one, or none for a random one"


class AlwaysLocked(PasswordIdentityProvider):
    """Nobody is let in but by the token, and there is no server without a long one."""

    @default("need_token")
    def _need_token_default(self) -> bool:
        return True

    @default("token")
    def _token_default(self) -> str:
        """The token from outside. Jupyter runs no validator on a default."""
        self.token_generated = False
        if "JUPYTER_TOKEN" in os.environ:
            return long_enough(os.environ["JUPYTER_TOKEN"], "JUPYTER_TOKEN")
        if "JUPYTER_TOKEN_FILE" in os.environ:
            file = os.environ["JUPYTER_TOKEN_FILE"]
            return long_enough(content(file), f"JUPYTER_TOKEN_FILE {file}")
        if self.hashed_password:
            raise TraitError(
                "a password alone does not lock the server, since nothing tells how long it is: "
                "leave it out for a random token"
            )
        self.token_generated = True
        return secrets.token_hex(24)

    @validate("token")
    def _is_long(self, proposal: dict[str, Any]) -> str:
        return long_enough(proposal["value"], "the token option")

    def validate_security(self, app: Any, ssl_options: dict[str, Any] | None = None) -> None:
        """Test what is in use, once it is known. Raises TraitError, which ends the start."""
        long_enough(self.token, "the server's token")
        super().validate_security(app, ssl_options)

    def passwd_check(self, password: str) -> bool:  # noqa: ARG002 - Jupyter's own signature
        """No password opens it: its hash does not tell how short it is."""
        return False


def long_enough(token: str, source: str) -> str:
    """The token without the white space around it. Raises TraitError for one that is short."""
    bare = token.strip()
    if len(bare) < LEAST:
        raise TraitError(
            f"{source} has {len(bare)} characters, expected at least {LEAST}, as a short or empty "
            f"token would let anyone in: {REMEDY}"
        )
    return bare


def content(file: str) -> str:
    """What a token's file holds. Raises TraitError for one that cannot be read, or is no file."""
    try:
        if not Path(file).is_file():
            raise OSError(f"{file!r} is no file")
        with Path(file).open("rb") as opened:
            return opened.read(MOST).decode("ascii")
    except (OSError, ValueError) as error:
        raise TraitError(f"JUPYTER_TOKEN_FILE cannot be read ({error}): {REMEDY}") from None


# Whatever is configured elsewhere or asked for on the command line is this class or its like.
ServerApp.identity_provider_class.klass = AlwaysLocked

c = get_config()  # noqa: F821 - Jupyter puts it here
c.ServerApp.identity_provider_class = AlwaysLocked
c.PasswordIdentityProvider.allow_password_change = False
c.ServerApp.ip = "0.0.0.0"  # noqa: S104 - see above
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0  # only this one is published
c.ServerApp.allow_root = True  # a caller who is root out there is root in here
c.ServerApp.open_browser = False
c.ServerApp.root_dir = "/workspace"
c.KernelSpecManager.ensure_native_kernel = False  # the kernel is the workspace's Python
