"""`launch`: a ready workspace in the current folder, as the calling user."""

from __future__ import annotations

import contextlib
import importlib.util
import json as json_
import os
import secrets
import shlex
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jaxpad import flags, profiles
from jaxpad.commands.machine import KernelOptions, LaunchOptions
from jaxpad.containers import engine as containers
from jaxpad.containers.engine import Engine, Image, Mount, Run, Wanted, say
from jaxpad.core import files
from jaxpad.core.files import Folder
from jaxpad.core.results import UsageError

_TOKEN = "/run/jaxpad/token"  # noqa: S105 - the place in the container, not the token
_CA = "/run/jaxpad/ca.pem"
_CA_READERS = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
_JUPYTER_PORT = 8888
_READY = 120.0  # seconds Jupyter may take to answer


def launch(options: LaunchOptions) -> int:
    """Run the container in the foreground and return its exit code.

    Raises UsageError for bad options, no engine, no image, GPUs that cannot be had.
    """
    _require(options)
    engine = containers.engine_for(_wanted(options))
    image = containers.image_for(_wanted(options), engine)
    run = request(options, image)
    if run.gpus == "none":
        say("No NVIDIA GPU is given to the container: JAX computes on the CPU.")
    if options.dry_run:
        sys.stdout.write(shlex.join(engine.run_argv(_with_token(run, Path("TOKEN-FILE")))) + "\n")
        return 0
    containers.make_private(run.mounts[0].source)
    return _jupyter(engine, run) if run.port else _foreground(engine, run)


def _wanted(options: LaunchOptions) -> Wanted:
    return Wanted(
        image=options.image,
        engine=options.engine,
        profile=options.profile,
        gpus=options.gpus,
        jupyter=options.jupyter,
    )


def _require(options: LaunchOptions) -> None:
    if options.ipc_host and options.shm_size:
        raise UsageError("--ipc-host shares the host's /dev/shm: leave out --shm-size")
    if options.mount and not Path(options.mount).is_dir():
        raise UsageError(f"--mount {options.mount}: there is no such folder")
    bundle = Path(options.ca_bundle)
    if options.ca_bundle and not (bundle.is_file() and os.access(bundle, os.R_OK)):
        raise UsageError(f"--ca-bundle {bundle} is not a file that can be read; give another")
    if options.port and not options.jupyter:
        raise UsageError(f"--port {options.port} is for --jupyter: add it, or leave the port out")
    if options.jupyter and options.command:
        raise UsageError("--jupyter starts JupyterLab: leave out the command behind --")


def request(options: LaunchOptions, image: Image) -> Run:
    """The container as asked for; `command` is empty where the image's own runs."""
    run = containers.container(_wanted(options), image)
    workspace = Mount(Path(options.mount or ".").resolve(), "/workspace")
    mounts, environ = [*run.mounts, workspace], dict(run.environ)
    if run.gpus == "none":
        environ["JAX_PLATFORMS"] = "cpu"
    if options.ca_bundle:
        mounts.append(Mount(Path(options.ca_bundle).resolve(), _CA, read_only=True))
        environ |= dict.fromkeys(_CA_READERS, _CA)
    return replace(
        run,
        mounts=tuple(mounts),
        environ=environ,
        command=_command(options, image),
        workdir="/workspace",
        terminal=_terminal() and not options.jupyter,
        shm_size=options.shm_size or run.shm_size,
        ipc_host=options.ipc_host,
        network=options.network or None,
        port=(_port(options.port), _JUPYTER_PORT) if options.jupyter else None,
    )


def _command(options: LaunchOptions, image: Image) -> tuple[str, ...]:
    """A jupyter image starts its server only where it was asked for."""
    if options.jupyter:
        return ("jupyter", "lab")
    return options.command or (("bash",) if image.jupyter else ())


def _terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _port(asked: int) -> int:
    """The port asked for, else the first free one of this machine's loopback from 8888."""
    for port in [asked] if asked else range(_JUPYTER_PORT, _JUPYTER_PORT + 100):
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port
    raise UsageError(f"port {asked or _JUPYTER_PORT} of this machine is taken; give another --port")


def _foreground(engine: Engine, run: Run) -> int:
    return containers.ended(engine, run, containers.follow(engine.run_argv(run)))


def _jupyter(engine: Engine, run: Run) -> int:
    """Run Jupyter with a token of its own, and print its address once it answers."""
    assert run.port is not None
    with _token_file() as file:
        argv = engine.run_argv(_with_token(run, file))
        address = f"http://127.0.0.1:{run.port[0]}"
        ended = threading.Event()
        threading.Thread(target=_announce, args=(ended, address, file), daemon=True).start()
        code = containers.follow(argv)
        ended.set()
        return containers.ended(engine, run, code)


@contextlib.contextmanager
def _token_file() -> Iterator[Path]:
    """A new token in a file that only the caller can read, gone when the server is."""
    with Folder() as folder:
        file = folder / "token"
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32), encoding="utf-8")
        yield file


def _with_token(run: Run, file: Path) -> Run:
    if not run.port:
        return run
    mounts = (*run.mounts, Mount(file, _TOKEN, read_only=True))
    return replace(run, mounts=mounts, environ={**run.environ, "JUPYTER_TOKEN_FILE": _TOKEN})


def _announce(ended: threading.Event, address: str, file: Path) -> None:
    deadline = time.monotonic() + _READY
    while time.monotonic() < deadline and not ended.wait(0.3):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{address}/api", timeout=2).close()  # noqa: S310 - loopback
            say(f"\nJupyterLab: {address}/lab?token={file.read_text(encoding='utf-8')}\n")
            return


# `kernel`: a Jupyter kernel that runs in this environment, under a profile if asked.
#
# A kernelspec is a folder with a kernel.json below the user's Jupyter data folder, so that no
# Jupyter is needed to install one:
# https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs


def kernel(options: KernelOptions) -> int:
    """Write the kernelspec and say where; 0.

    Raises UsageError for an unknown profile, no ipykernel, a folder that cannot be written.
    """
    spec = kernelspec(options.profile)
    file = data_folder(os.environ) / "kernels" / _name(options.profile) / "kernel.json"
    if not options.dry_run:
        _require_ipykernel()
        _write(file, json_.dumps(spec, indent=2) + "\n")
    _tell(options, file, spec)
    return 0


def kernelspec(profile: str) -> dict[str, Any]:
    """What kernel.json holds: this Python, and the profile's variables for its jaxlib."""
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    words = f" under {profile}" if profile else ""
    found = {"argv": argv, "display_name": f"JAX (jaxpad{words})", "language": "python"}
    return {**found, "metadata": {"debugger": True}, "env": _variables(profile)}


def _variables(profile: str) -> dict[str, str]:
    if not profile:
        return {}
    composed = profiles.compose(profiles.load(profile), {}, flags.jaxlib_version())
    return dict(composed.environ)


def _name(profile: str) -> str:
    """Letters, digits and -._ are allowed in a kernel's name; a file's profile goes by its stem."""
    return f"jaxpad-{Path(profile).stem}" if profile else "jaxpad"


def data_folder(environ: Mapping[str, str]) -> Path:
    """The user's Jupyter data folder on Linux: JUPYTER_DATA_DIR, or below XDG_DATA_HOME.

    Source: https://docs.jupyter.org/en/latest/use/jupyter-directories.html.
    """
    if given := environ.get("JUPYTER_DATA_DIR"):
        return Path(given)
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "jupyter"


def _require_ipykernel() -> None:
    if importlib.util.find_spec("ipykernel") is None:
        raise UsageError(
            f"{sys.executable} has no ipykernel, which the kernel runs in; "
            f"install it there: {sys.executable} -m pip install ipykernel"
        )


def _write(file: Path, text: str) -> None:
    """Whole or not at all."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(file, text)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written ({error.strerror}); set JUPYTER_DATA_DIR to a folder of "
            "your own"
        ) from error


def _tell(options: KernelOptions, file: Path, spec: dict[str, Any]) -> None:
    if options.json:
        json_.dump({"file": str(file), "kernel": spec}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif options.dry_run:
        sys.stdout.write(f"{file}\n{json_.dumps(spec, indent=2)}\n")
    else:
        sys.stderr.write(f"Installed {spec['display_name']}: {file}\n")
