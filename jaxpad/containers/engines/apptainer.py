"""Apptainer: runs as the caller, sees the caller's devices, and skips a Docker entrypoint."""

from __future__ import annotations

from pathlib import Path

from jaxpad.containers.engine import Engine, Mount, Run, gpu_list
from jaxpad.core.results import UsageError


class Apptainer(Engine):
    """Apptainer, or Singularity by its old name."""

    name = "apptainer"
    programs = ("apptainer", "singularity")
    lists_images = False
    failed = (255,)

    def run_argv(self, run: Run) -> list[str]:
        """`apptainer exec`; raises UsageError where a port is to be published."""
        if run.port:
            raise UsageError(
                "apptainer publishes no port: it shares the host's network; "
                "take docker or podman for --jupyter"
            )
        argv = [self.program, "exec", "--containall", "--writable-tmpfs"]
        argv += ["--nv"] if run.gpus != "none" else []
        for mount in run.mounts:
            argv += ["--bind", _bind(mount)]
        for name, value in (*_visible(run.gpus), *run.environ.items()):
            argv += ["--env", f"{name}={value}"]
        argv += ["--pwd", run.workdir] if run.workdir else []
        return [*argv, *run.options, _image(run.image), "jaxpad-entrypoint", *run.command]

    def build_argv(self, image: str, file: Path) -> list[str]:
        """The command that turns an image of the local docker daemon into a .sif file."""
        return [self.program, "build", str(file), f"docker-daemon:{image}"]


def _visible(gpus: str) -> tuple[tuple[str, str], ...]:
    if gpus in ("all", "none"):
        return ()
    return (("CUDA_VISIBLE_DEVICES", ",".join(gpu_list(gpus))),)


def _bind(mount: Mount) -> str:
    if {":", ","} & set(str(mount.source)):
        raise UsageError(f"apptainer cannot bind {mount.source}: it has a colon or a comma")
    return f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"


def _image(image: str) -> str:
    return image if Path(image).is_file() or "://" in image else f"docker://{image}"
