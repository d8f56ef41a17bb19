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

from jaxpad import profile_tasks  # noqa: E402
from jaxpad.audit_tasks import audit  # noqa: E402
from jaxpad.fleet_tasks import fleet  # noqa: E402
from jaxpad.kernel_tasks import kernel  # noqa: E402
from jaxpad.multi_tasks import multi  # noqa: E402
from jaxpad.node_tasks import doctor, health, nvml_record, pod  # noqa: E402
from jaxpad.report_tasks import report  # noqa: E402
from jaxpad.smoke_tasks import smoke  # noqa: E402
from jaxpad.supply_tasks import sbom  # noqa: E402
from jaxpad.tasking import DRY_RUN, call, command, perform, remainder  # noqa: E402


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
    perform("build", locals())


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
    perform("launch", locals(), command=remainder())


@command(help={"upgrade": "take newer versions where there are some"})
def lock(_c: Context, upgrade: bool = False) -> None:
    """Renew the hash-pinned requirements/*.txt from requirements/*.in."""
    call("upkeep:lock", HOME, upgrade=upgrade)


@command(help={"fix": "mend what can be mended"})
def lint(_c: Context, fix: bool = False) -> None:
    """Check style, types and shell scripts."""
    call("upkeep:lint", HOME, fix=fix)


@command(
    help={
        "check": "only say which pages are out of date; 1 if any is",
        "pictures": "take the screenshots anew, with Chromium",
        "record": "run the smoke suite for the output that the README shows",
    }
)
def docs(_c: Context, check: bool = False, pictures: bool = False, record: bool = False) -> None:
    """Renew the generated tables in README.md and docs/."""
    call("docs:docs", HOME, check=check, pictures=pictures, record=record)


@command(help={"out": "the folder to build into", "serve": "show it on loopback while you write"})
def site(_c: Context, out: str = "site", serve: bool = False) -> None:
    """Build the docs site."""
    perform("site", locals())


@command(
    help={
        "k": "only the tests this expression names",
        "quick": "leave out what takes over a second: containers, Slurm, browsers, the compiler",
        "jax-only": "only what another JAX can change, for a second Python",
        "workers": "how many tests run at a time; default: one more than there are cores",
    }
)
def test(
    _c: Context, k: str = "", quick: bool = False, jax_only: bool = False, workers: int = 0
) -> None:
    """Run the project's own tests."""
    call("upkeep:test", HOME, select=k, quick=quick, jax_only=jax_only, workers=workers)


_ON_NODES = (smoke, report, multi, pod, fleet, doctor, health)
namespace = Collection(build, launch, kernel, *_ON_NODES, lock, audit, sbom, lint, docs, site, test)
namespace.add_collection(Collection.from_module(profile_tasks, name="profile"))
namespace.add_collection(Collection("nvml", nvml_record))
