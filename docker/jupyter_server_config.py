"""JupyterLab in the image: a token always, and the workspace as its folder.

The token comes from the file that JUPYTER_TOKEN_FILE names (`launch` mounts one), else the server
makes a random one at each start and prints its address. Inside the container it listens on
every interface, as a published port needs; `launch` and compose.yaml publish on loopback only.
"""

from typing import Any

from jupyter_server.auth.identity import PasswordIdentityProvider
from traitlets import TraitError, validate


class AlwaysLocked(PasswordIdentityProvider):
    """An empty token would turn authentication off for everyone who reaches the port."""

    @validate("token")
    def _never_empty(self, proposal: dict[str, Any]) -> str:
        if not proposal["value"].strip() and self.need_token:
            raise TraitError("an empty token would let anyone in: leave it out for a random one")
        return str(proposal["value"]).strip()


c = get_config()  # noqa: F821 - Jupyter puts it here
c.ServerApp.identity_provider_class = AlwaysLocked
c.ServerApp.ip = "0.0.0.0"  # noqa: S104 - see above
c.ServerApp.port = 8888
c.ServerApp.port_retries = 0  # only this one is published
c.ServerApp.allow_root = True  # a caller who is root out there is root in here
c.ServerApp.open_browser = False
c.ServerApp.root_dir = "/workspace"
c.KernelSpecManager.ensure_native_kernel = False  # the kernel is the workspace's Python
