"""In what a cluster's job runs: the node itself, pyxis (enroot) or Apptainer."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxpad.engines._request import Mount
from jaxpad.errors import UsageError

# Variables of the caller's that mean something inside. An image's own ENV wins over them under
# pyxis unless they are named (https://github.com/NVIDIA/pyxis, --container-env).
FAMILIES = re.compile(
    r"XLA_FLAGS(_APPEND)?|(JAXPAD_(?!STARTED_AS|PROJECT)|JAX_|NCCL_|XLA_PYTHON_CLIENT_)[A-Z0-9_]+"
)
_FILES = (".sqsh", ".squashfs", ".sif", ".simg")


@dataclass(frozen=True)
class Inside:
    """A prepared image and what of the node is seen in it."""

    runtime: str = "none"
    image: str = ""
    mounts: tuple[Mount, ...] = ()
    variables: tuple[str, ...] = ()  # names of the caller's


def variables(environ: Mapping[str, str], more: Sequence[str] = ()) -> tuple[str, ...]:
    """The names set in `environ` that mean something to JAX, XLA or NCCL, and those in `more`."""
    names = {name for name in environ if FAMILIES.fullmatch(name)}
    return tuple(sorted(names | {name for name in more if name in environ}))


def image_file(image: str) -> Path | None:
    """The image as a file, None for a reference to a registry."""
    file = Path(image)
    named = file.suffix in _FILES or image.startswith(("/", "./", "../"))
    return file.resolve() if named or file.is_file() else None


def pyxis_options(inside: Inside) -> list[str]:
    """The options that pyxis adds to srun.

    Raises UsageError for a mount that cannot be written so.
    """
    file = image_file(inside.image)
    argv = [f"--container-image={file or enroot(inside.image)}", "--no-container-mount-home"]
    mounts = ",".join(_mount(mount, "pyxis") for mount in inside.mounts)
    argv += [f"--container-mounts={mounts}"] if mounts else []
    named = ",".join(inside.variables)
    return [*argv, *([f"--container-env={named}"] if named else [])]


def enroot(image: str) -> str:
    """A reference as enroot reads it: `#`, not `/`, behind the registry.

    https://github.com/NVIDIA/enroot/blob/master/doc/cmd/import.md
    """
    bare = image.removeprefix("docker://")
    registry, slash, rest = bare.partition("/")
    if "#" in bare or not slash or not _is_registry(registry):
        return bare
    return f"{registry}#{rest}"


def _is_registry(word: str) -> bool:
    """As docker tells a registry from a user: by a dot or a port."""
    return word == "localhost" or "." in word or ":" in word


def apptainer_argv(inside: Inside, command: Sequence[str], *, gpus: bool) -> list[str]:
    """The command in the container, with the node's own IPC, which NCCL's shared memory needs.

    The caller's Python packages stay outside: they would come before the image's.
    Raises UsageError for a mount that cannot be written so.
    """
    argv = ["apptainer", "exec", *(["--nv"] if gpus else []), "--no-home", "--writable-tmpfs"]
    argv += ["--env", "PYTHONNOUSERSITE=1", "--env", "PYTHONPATH="]
    for mount in inside.mounts:
        argv += ["--bind", _mount(mount, "apptainer")]
    file = image_file(inside.image)
    image = str(file) if file else inside.image
    return [*argv, image if file or "://" in image else f"docker://{image}", *command]


def _mount(mount: Mount, runtime: str) -> str:
    source = os.fspath(mount.source)
    if {":", ","} & set(source):
        raise UsageError(f"{runtime} cannot mount {source}: it has a colon or a comma")
    return f"{source}:{mount.target}{':ro' if mount.read_only else ''}"
