"""docker and podman: nearly the same words, apart in GPUs, users and limits."""

from __future__ import annotations

import csv
import io
import os
import re
import resource
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxpad.containers.engine import Build, Engine, Mount, Run, ask, gpu_list, last

_DOCKER_PID = Path("/run/docker.pid")
_CAP_SYS_RESOURCE = 24  # linux/capability.h
_NO_BUILDX = 23  # the first docker client that builds only through the buildx plugin
_STACK = 67108864  # bytes; NVIDIA's user guide asks for this and for unlimited locked memory
_UNLIMITED = resource.RLIM_INFINITY
_LIMITS = {
    "memlock": (resource.RLIMIT_MEMLOCK, _UNLIMITED),
    "stack": (resource.RLIMIT_STACK, _STACK),
}
_PODMANS = {  # in place of what podman asks for as root: 2**20 files and 2**22 processes
    "nofile": (resource.RLIMIT_NOFILE, 2**20),
    "nproc": (resource.RLIMIT_NPROC, 2**14),  # podman 4.3 lowers its own on the way
}


@dataclass(frozen=True)
class Oci(Engine):
    """What docker and podman share."""

    rootless: bool = False
    raises_limits: bool = True  # whether a container may have more than the caller

    def run_argv(self, run: Run) -> list[str]:
        """`docker run` or `podman run`, as the calling user."""
        argv = [self.program, "run", "--rm", *(["-it"] if run.terminal else [])]
        argv += [*self._user(run), *self._gpus(run.gpus), *_memory(run), *self._limits()]
        for mount in run.mounts:
            argv += ["--mount", _mount(mount)]
        for name, value in run.environ.items():
            argv += ["--env", f"{name}={value}"]
        argv += ["--workdir", run.workdir] if run.workdir else []
        argv += ["--network", run.network] if run.network else []
        argv += ["--publish", f"127.0.0.1:{run.port[0]}:{run.port[1]}"] if run.port else []
        return [*argv, *run.options, run.image, *run.command]

    def build_argv(self, build: Build) -> list[str]:
        """The command that builds one image."""
        argv = [*self._builder(), "--file", str(build.dockerfile or "-")]
        argv += ["--target", build.target, "--tag", build.tag]
        for name, value in build.args.items():
            argv += ["--build-arg", name if value is None else f"{name}={value}"]
        for name, value in build.labels.items():
            argv += ["--label", f"{name}={value}"]
        argv += ["--secret", f"id=ca,src={build.ca_bundle}"] if build.ca_bundle else []
        argv += ["--network", build.network] if build.network else []
        return [*argv, str(build.context)]

    @abstractmethod
    def _builder(self) -> list[str]: ...

    @abstractmethod
    def _gpus(self, gpus: str) -> list[str]: ...

    @abstractmethod
    def _user(self, run: Run) -> list[str]: ...

    def _limits(self) -> list[str]:
        """Above the caller's own only where that is allowed: else nothing would start."""
        wanted = _LIMITS if self.raises_limits else {**_LIMITS, **self._defaults}
        limits = (
            f"{name}={bound}:{bound}"
            for name, (key, most) in wanted.items()
            for bound in [most if self.raises_limits else _at_most(key, most)]
        )
        return [word for limit in limits for word in ("--ulimit", limit)]

    @property
    def _defaults(self) -> Mapping[str, tuple[int, int]]:
        """The limits that the engine asks for of itself."""
        return {}


class Docker(Oci):
    """Docker, rootless or not."""

    name = "docker"
    unasked = True

    @classmethod
    def problem(cls, program: str, *, building: bool) -> str | None:
        """A daemon out of reach; for a build, a client that lacks the buildx plugin."""
        done = ask([program, "version", "--format", "{{.Client.Version}} {{.Server.Version}}"])
        if done.code:
            return _unreachable(program, done.err)
        client = int(done.out.split(".")[0])
        if building and client >= _NO_BUILDX and ask([program, "buildx", "version"]).code:
            return f"{program} has no buildx plugin, which it builds with; install docker-buildx"
        return None

    @classmethod
    def at(cls, program: str, word: str) -> Docker:
        """Docker as its daemon says it is."""
        rootless = "rootless" in ask([program, "info", "--format", "{{.SecurityOptions}}"]).out
        return cls(word, rootless, raises_limits=not rootless and _raises_limits(_daemon()))

    def _builder(self) -> list[str]:
        return ["env", "DOCKER_BUILDKIT=1", self.program, "build", "--progress", "plain"]

    def _gpus(self, gpus: str) -> list[str]:
        if gpus in ("all", "none"):
            return ["--gpus", "all"] if gpus == "all" else []
        return ["--gpus", f'"device={",".join(gpu_list(gpus))}"']  # the quotes are docker's own

    def _user(self, run: Run) -> list[str]:
        if run.user is None:
            return []
        uid, gid = (0, 0) if self.rootless else run.user  # root there is the caller out here
        return ["--user", f"{uid}:{gid}"]


class Podman(Oci):
    """Podman, rootless or not. GPUs come through CDI."""

    name = "podman"
    unasked = True
    failed = (125, 126)  # 126 can also be a command that cannot be run

    @classmethod
    def problem(cls, program: str, *, building: bool) -> str | None:
        """A podman that does not work; it builds by itself."""
        del building
        done = ask([program, "info", "--format", "{{.Version.Version}}"])
        return None if done.code == 0 else f"{program} does not work: {last(done.err)}"

    @classmethod
    def at(cls, program: str, word: str) -> Podman:
        """Podman as this user runs it."""
        del program
        rootless = os.geteuid() != 0
        return cls(word, rootless, raises_limits=not rootless and _raises_limits("self"))

    def _builder(self) -> list[str]:
        return [self.program, "build", "--format", "docker"]  # OCI's format has no health check

    def _gpus(self, gpus: str) -> list[str]:
        if gpus == "none":
            return []
        chosen = ("all",) if gpus == "all" else gpu_list(gpus)
        return [word for gpu in chosen for word in ("--device", f"nvidia.com/gpu={gpu}")]

    def _user(self, run: Run) -> list[str]:
        if run.user is None:
            return []
        keep = ["--userns", "keep-id"] if self.rootless else []
        user = ["--user", "{}:{}".format(*run.user)]
        return [*keep, *user, "--security-opt", "label=disable"]  # SELinux and the user's folders

    @property
    def _defaults(self) -> Mapping[str, tuple[int, int]]:
        return {} if self.rootless else _PODMANS


def _unreachable(program: str, words: str) -> str:
    if "permission denied" in words.lower():
        return (
            f"{program} may not talk to its daemon; add yourself to the docker group "
            "(sudo usermod -aG docker $USER, then log in again) or use rootless docker"
        )
    return f"{program} cannot reach its daemon ({last(words)}); start it: systemctl start docker"


def _daemon() -> str:
    try:
        return _DOCKER_PID.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _raises_limits(process: str) -> bool:
    """Whether a process has CAP_SYS_RESOURCE; yes where that cannot be read.

    Without it, as inside many containers and sandboxes, runc refuses a limit above its own.
    """
    try:
        status = Path("/proc", process, "status").read_text(encoding="utf-8")
    except OSError:
        return True
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is None or bool(int(found[1], 16) >> _CAP_SYS_RESOURCE & 1)


def _at_most(key: int, most: int) -> int:
    """The caller's own hard limit, or `most` where that is less."""
    bounds = [bound for bound in (resource.getrlimit(key)[1], most) if bound != _UNLIMITED]
    return min(bounds, default=_UNLIMITED)


def _memory(run: Run) -> list[str]:
    return ["--ipc", "host"] if run.ipc_host else ["--shm-size", run.shm_size]


def _mount(mount: Mount) -> str:
    """A --mount value; a path with a comma is quoted as CSV, which is what the engines read."""
    fields = ["type=bind", f"source={mount.source}", f"target={mount.target}"]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(
        [*fields, *(["readonly"] if mount.read_only else [])]
    )
    return text.getvalue()
