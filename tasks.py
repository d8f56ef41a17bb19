"""The project's tasks: `invoke --list`. `jaxpad NAME` is the same set, from any folder.

Each task only says what to do; the work is in jaxpad, imported when a task runs, so
that `invoke --list` starts no JAX.
"""

from __future__ import annotations

import sys
from pathlib import Path

from invoke import Collection, Context

HOME = Path(__file__).resolve().parent
if (HOME / "jaxpad").is_dir():  # a checkout that is not installed
    sys.path.insert(0, str(HOME))

from jaxpad.cli import profile_tasks  # noqa: E402
from jaxpad.cli.tasking import DRY_RUN, command, perform, remainder  # noqa: E402
from jaxpad.cli.tasks import (  # noqa: E402
    doctor,
    fleet,
    health,
    kernel,
    multi,
    nvml_record,
    pod,
    report,
    smoke,
)


@command(
    help={
        "base": "toolbox (NVIDIA JAX-Toolbox) or wheels (released CUDA wheels); default: toolbox, "
        "or what the project chose",
        "cuda": "CUDA major version, 12 or 13; default: the one the base carries",
        "profile": "the XLA profile that the image sets by default, a name in configs/profiles",
        "target": "workspace or jupyter",
        "tag": "name of the image; default: <project>:<version>-<base>-cuda<major>",
        "ca-bundle": "certificates to trust while building, as behind a proxy; not kept",
        "push": "also push the image under this reference",
        "sif": "also convert it into this Apptainer file",
        "engine": "docker or podman; default: the first that answers",
        "network": "network of the build's steps, as the engine's --network",
        "dry-run": DRY_RUN,
    }
)
def build(
    _c: Context,
    base: str = "",
    cuda: str = "",
    profile: str = "",
    target: str = "workspace",
    tag: str = "",
    ca_bundle: str = "",
    push: str = "",
    sif: str = "",
    engine: str = "",
    network: str = "",
    dry_run: bool = False,
) -> None:
    """Build the container image."""
    perform("jaxpad.containers.build:build", locals())


@command(
    help={
        "image": "an image or a .sif file; default: the newest that build has made here",
        "profile": "an XLA profile of the image",
        "jupyter": "JupyterLab on this machine's loopback, with a token of its own",
        "engine": "docker, podman or apptainer; default: the first that answers",
        "gpus": "all, none or a list such as 0,1; default: all where this machine shows one",
        "mount": "folder to work in; default: the current one",
        "shm-size": "size of /dev/shm; default: 8g",
        "ipc-host": "share the host's /dev/shm instead",
        "port": "Jupyter's port on this machine; default: the first free one from 8888",
        "ca-bundle": "certificates that pip in the container trusts, as behind a proxy",
        "network": "the engine's --network",
        "dry-run": DRY_RUN,
    }
)
def launch(
    _c: Context,
    image: str = "",
    profile: str = "",
    jupyter: bool = False,
    engine: str = "",
    gpus: str = "",
    mount: str = "",
    shm_size: str = "",
    ipc_host: bool = False,
    port: int = 0,
    ca_bundle: str = "",
    network: str = "",
    dry_run: bool = False,
) -> None:
    """Start a workspace in the current folder, as you; a command may follow behind `--`."""
    perform("jaxpad.cli.launch:launch", locals(), command=remainder())


_ON_NODES = (smoke, report, multi, pod, fleet, doctor, health)
namespace = Collection(build, launch, kernel, *_ON_NODES)
namespace.add_collection(Collection.from_module(profile_tasks, name="profile"))
namespace.add_collection(Collection("nvml", nvml_record))
if (HOME / "tools").is_dir():  # a checkout: its pins, style, tests and docs
    from tools.tasks import TASKS

    for task in TASKS:
        namespace.add_task(task)
