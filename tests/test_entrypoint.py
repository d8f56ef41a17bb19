"""docker/entrypoint on machines laid out in a folder, which becomes its root by chroot."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from helpers import HOME
from jaxpad import profiles
from jaxpad.core import child, files, paths

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="chroot is for root")

PROGRAMS = ("cat", "dash", "env", "find", "id", "mkdir", "mktemp", "printenv", "pwd", "stat")
ENTRYPOINT = "/usr/local/bin/jaxpad-entrypoint"
UID = 12345
ENV = {  # as the image sets it
    "PATH": "/usr/local/bin:/usr/bin",
    "HOME": "/home/jax",
    "PYTHONUSERBASE": "/home/jax/.cache/jaxpad/packages",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    "XLA_FLAGS": " --xla_base=1 --xla_gpu_enable_latency_hiding_scheduler=true",
    "JAXPAD_BASE_XLA_FLAGS": " --xla_base=1",
    "JAXPAD_BAKED_XLA_FLAGS": " --xla_base=1 --xla_gpu_enable_latency_hiding_scheduler=true",
    "JAXPAD_BAKED_PROFILE": "base",
}
QUIET = ENV | {"JAXPAD_QUIET": "1"}


def libraries(program: str) -> list[str]:
    """What a program needs to start, by the loader's own account."""
    words = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [word for word in words.split() if word.startswith("/")]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The least that the entrypoint needs of an image."""
    root = tmp_path_factory.mktemp("image")
    for name in PROGRAMS:
        program = str(shutil.which(name))
        for file in [program, *libraries(program)]:
            place = root / file.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    (root / "usr/local/bin").mkdir(parents=True)
    shutil.copy(HOME / "docker/with-profile", root / "usr/local/bin")
    shutil.copy(HOME / "docker/entrypoint", root / ENTRYPOINT.lstrip("/"))
    profiles.write(root / "usr/local/share/jaxpad/profiles", "0.12.0")
    return root


@pytest.fixture
def root(image: Path, tmp_path: Path) -> Path:
    """A machine with no GPU: empty /proc, /sys and /dev, a home for anyone, a /tmp."""
    copy = Path(shutil.copytree(image, tmp_path / "root"))
    copy.chmod(0o755)
    for name in ("dev", "etc", "proc", "sys", "home/jax", "tmp"):
        (copy / name).mkdir(parents=True, exist_ok=True)
    for name in ("home/jax", "tmp"):
        (copy / name).chmod(0o1777)
    if not (copy / "bin").exists():
        (copy / "bin").symlink_to("usr/bin")
    (copy / "bin/sh").symlink_to("/usr/bin/dash")
    os.mknod(copy / "dev/null", 0o20666, os.makedev(1, 3))
    (copy / "dev/null").chmod(0o666)
    return copy


Start = Callable[..., CompletedProcess[str]]


@pytest.fixture
def start(root: Path) -> Start:
    """Starts the entrypoint in `root`, with `environ` and nothing else."""

    def run(*argv: str, environ: dict[str, str] = QUIET, uid: int = UID) -> CompletedProcess[str]:
        command = ["chroot", f"--userspec={uid}:{uid}", "--groups=", str(root), ENTRYPOINT, *argv]
        path = {"PATH": f"{ENV['PATH']}:{os.environ['PATH']}"}  # for chroot itself, too
        return subprocess.run(command, env=environ | path, capture_output=True, text=True)

    return run


def lay(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


# The GPU line.

NODE = {"dev/nvidia0": ""}
CUDA = {"usr/lib/x86_64-linux-gnu/libcuda.so.1": ""}
DRIVER = {"proc/driver/nvidia/version": "NVRM version: 580.1\n"}
MODULE = {"sys/module/nvidia/version": "580.1\n"}
PCI = "sys/bus/pci/devices/0000:01:00.0"
DISPLAY = {f"{PCI}/vendor": "0x10de\n", f"{PCI}/class": "0x030200\n"}
AUDIO = {f"{PCI}/vendor": "0x10de\n", f"{PCI}/class": "0x040300\n"}
WSL = {"proc/version": "Linux version 6.6.87-microsoft-standard-WSL2 (root@x)\n"}
OTHER_WSL = {"proc/version": "Linux version 4.4.0-19041-Microsoft (x)\n"}
NO_GPU = "this host shows no NVIDIA GPU, and JAX computes on the CPU"
NO_LIBRARY = "there are devices and no libcuda.so.1: start the container through the NVIDIA Co"
NO_DEVICE = "the host has the driver, and the container was given no device; start it with --gpus"
NO_DRIVER = "the host has an NVIDIA GPU and no driver loaded; install or load it on the host"
LINES: list[tuple[dict[str, str], dict[str, str], str]] = [
    ({}, {}, NO_GPU),
    (AUDIO, {}, NO_GPU),
    (CUDA, {}, NO_GPU),
    ({"dev/nvidiactl": "", "dev/nvidia-uvm": ""}, {}, NO_GPU),
    ({"proc/version": "Linux version 6.1.0\n"}, {}, NO_GPU),
    ({f"{PCI}/vendor": "0x8086\n", f"{PCI}/class": "0x030000\n"}, {}, NO_GPU),
    (DISPLAY, {}, NO_DRIVER),
    (DISPLAY | DRIVER, {}, NO_DEVICE),
    (DISPLAY | MODULE | CUDA, {}, NO_DEVICE),
    (DRIVER | {"dev/nvidiactl": ""}, {}, NO_DEVICE),
    (WSL, {}, "under WSL there is no /dev/dxg; start it with --gpus all"),
    (OTHER_WSL, {}, "under WSL there is no /dev/dxg; start it with --gpus all"),
    (WSL | {"dev/dxg": ""}, {}, NO_LIBRARY),
    (NODE | DRIVER, {}, NO_LIBRARY),
    (DRIVER, {"NVIDIA_VISIBLE_DEVICES": "void"}, "NVIDIA_VISIBLE_DEVICES='void' keeps every GPU"),
    (DRIVER | CUDA, {"NVIDIA_VISIBLE_DEVICES": "none"}, "NVIDIA_VISIBLE_DEVICES='none' keeps ever"),
    (DRIVER, {"NVIDIA_VISIBLE_DEVICES": ""}, "NVIDIA_VISIBLE_DEVICES='' keeps every GPU out"),
    (NODE | CUDA, {"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES='' hides every GPU; unset"),
    (NODE | CUDA, {"CUDA_VISIBLE_DEVICES": "-1"}, "CUDA_VISIBLE_DEVICES='-1' hides every GPU"),
]


@pytest.mark.parametrize(("files", "added", "line"), LINES)
def test_gpu_line(
    root: Path, start: Start, files: dict[str, str], added: dict[str, str], line: str
) -> None:
    lay(root, files)
    done = start("env", environ=ENV | added)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"jaxpad: no GPU here: {line}")
    assert start("env", environ=QUIET | added).stderr == ""


@pytest.mark.parametrize(
    "files",
    [
        NODE | CUDA,
        {"dev/nvidia3": ""} | CUDA | DRIVER | DISPLAY,
        NODE | {"usr/lib/aarch64-linux-gnu/libcuda.so.1": ""},
        NODE | {"usr/lib64/libcuda.so.1": ""},
        NODE | {"usr/local/nvidia/lib64/libcuda.so.1": ""},
        NODE | {"usr/local/cuda/compat/libcuda.so.1": ""},
        NODE | {".singularity.d/libs/libcuda.so.1": ""},
        NODE | {"opt/driver/libcuda.so.1": ""},
        WSL | {"dev/dxg": "", "usr/lib/wsl/lib/libcuda.so.1": ""},
    ],
    ids=str,
)
def test_gpu_silent(root: Path, start: Start, files: dict[str, str]) -> None:
    lay(root, files)
    paths = {"LD_LIBRARY_PATH": "/nowhere:/opt/driver"}
    assert start("env", environ=ENV | paths).stderr == ""
    # What CDI leaves in the environment of a container that it gave a GPU.
    assert start("env", environ=ENV | paths | {"NVIDIA_VISIBLE_DEVICES": "void"}).stderr == ""


def test_gpu_by_loader(root: Path, start: Start) -> None:
    """The loader's cache knows a driver in a folder of its own."""
    lay(
        root,
        NODE | {"usr/sbin/ldconfig": "#!/bin/sh\necho '	libcuda.so.1 => /x/libcuda.so.1'\n"},
    )
    (root / "usr/sbin/ldconfig").chmod(0o755)
    assert start("env", environ=ENV).stderr == ""


# The home.


def test_home_stays(start: Start) -> None:
    done = start("printenv", "HOME", "PYTHONUSERBASE")
    assert done.stdout == "/home/jax\n/home/jax/.cache/jaxpad/packages\n"
    assert start("printenv", "HOME", environ=QUIET | {"HOME": "/tmp"}).stdout == "/tmp\n"


def made_home(start: Start, mode: str = "700", **added: str) -> str:
    """The home that a command gets, where it must be one of its own."""
    done = start("sh", "-c", "stat -c %u:%a $HOME; echo $HOME", environ=QUIET | added)
    assert done.stderr == ""
    owner, home = done.stdout.split()
    assert owner == f"{UID}:{mode}"
    return home


@pytest.mark.parametrize("home", ["/nonexistent", "/etc", "/usr/bin/env", "", "tmp", "/"])
def test_home_made(start: Start, home: str) -> None:
    assert made_home(start, HOME=home) == f"/tmp/home-{UID}"
    assert made_home(start, HOME=home) == f"/tmp/home-{UID}"  # that very one again


def test_home_in_tmpdir(root: Path, start: Start) -> None:
    (root / "scratch").mkdir()
    (root / "scratch").chmod(0o1777)
    assert made_home(start, HOME="/nonexistent", TMPDIR="/scratch") == f"/scratch/home-{UID}"


def test_home_packages_follow(root: Path, start: Start) -> None:
    (root / "home/jax").chmod(0o755)
    done = start("printenv", "HOME", "PYTHONUSERBASE")
    assert done.stdout == f"/tmp/home-{UID}\n/tmp/home-{UID}/.cache/jaxpad/packages\n"
    mine = QUIET | {"PYTHONUSERBASE": "/opt/mine"}
    assert start("printenv", "PYTHONUSERBASE", environ=mine).stdout == "/opt/mine\n"


# Which folders are taken for a home: in $HOME, and the one that is made up where that is none.
# The shell's rules and Python's are one.


@dataclass(frozen=True)
class Laid:
    """What lies at a path: whose it is, who may write, and whether that is taken."""

    name: str
    taken: bool
    owner: int = UID
    mode: int = 0o700
    kind: str = "folder"

    def lay(self, root: Path, path: str) -> None:
        """Lay it out; a link leads to a folder that would be taken."""
        place = root / path.lstrip("/")
        if self.kind == "link":
            (root / "tmp/owned").mkdir(mode=0o700)
            os.chown(root / "tmp/owned", UID, UID)
            place.symlink_to("/tmp/owned")
        elif self.kind == "pipe":
            os.mkfifo(place)
        elif self.kind == "file":
            place.touch()
        if self.kind == "folder":
            place.mkdir()
        if self.kind != "nothing":
            os.chown(place, self.owner, UID, follow_symlinks=False)
        if self.kind not in ("nothing", "link"):
            place.chmod(self.mode)


MADE_UP = [
    Laid("absent", True, kind="nothing"),
    Laid("ours", True),
    Laid("ours, all may read", True, mode=0o755),
    Laid("ours, its group may write", False, mode=0o770),
    Laid("ours, all may write", False, mode=0o777),
    Laid("ours, all may write and none remove", False, mode=0o1777),
    Laid("another's", False, owner=99),
    Laid("another's, all may write", False, owner=99, mode=0o777),
    Laid("root's, all may write", False, owner=0, mode=0o1777),
    Laid("our link", False, kind="link"),
    Laid("another's link", False, owner=99, kind="link"),
    Laid("our file", False, kind="file"),
    Laid("our pipe", False, kind="pipe"),
]
GIVEN = [
    Laid("absent", False, kind="nothing"),
    Laid("ours", True),
    Laid("ours, its group may write", True, mode=0o770),
    Laid("ours, none may write", False, mode=0o500),
    Laid("ours, none may enter", False, mode=0o600),
    Laid("root's, closed", False, owner=0, mode=0o755),
    Laid("root's, all may write and none remove", True, owner=0, mode=0o1777),
    Laid("root's, our group may write, as fsGroup makes it", True, owner=0, mode=0o2770),
    Laid("another's, closed", False, owner=99, mode=0o755),
    Laid("another's, all may write", False, owner=99, mode=0o777),
    Laid("a link to ours", True, kind="link"),
    Laid("our file", False, kind="file"),
]


def in_python(root: Path, work: Callable[[], object], **variables: str) -> str:
    """What `work` prints in `root`, as the user UID with these variables and no other."""

    def there() -> None:
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setgid(UID)
        os.setuid(UID)
        os.environ.clear()
        os.environ.update(variables)
        tempfile.tempdir = None
        os.write(1, str(work()).encode())

    pwd.getpwuid(0)  # what it imports must be here before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pytest-xdist has a thread
        told = child.run_fork(there, limit_s=30)
    assert told.code == 0, told
    return told.out.rstrip("\n")


def cache_made() -> str:
    """The cache folder once it is made, or why it is not."""
    try:
        paths.make_cache(paths.user_cache() / "effects")
    except files.NotOurs as error:
        return f"refused: {error.strerror}"
    return str(paths.user_cache())


@pytest.mark.parametrize("laid", MADE_UP, ids=lambda laid: laid.name)
def test_home_made_up(root: Path, start: Start, laid: Laid) -> None:
    """What somebody else may have laid out in /tmp is not taken for ours."""
    home = f"/tmp/home-{UID}"
    laid.lay(root, home)
    found = in_python(root, cache_made, HOME="/nonexistent")
    if laid.taken:
        assert found == f"{home}/.cache/jaxpad"
        assert made_home(start, HOME="/nonexistent", mode="755" if laid.mode == 0o755 else "700")
        assert (root / f"tmp/home-{UID}/.cache/jaxpad/effects").stat().st_mode & 0o777 == 0o700
    else:
        assert found.startswith(f"refused: {home} "), found
    got = start("sh", "-c", "echo $HOME", environ=QUIET | {"HOME": "/nonexistent"}).stdout.strip()
    assert (got == home) is laid.taken
    assert got == home or got.startswith(f"{home}.")


@pytest.mark.parametrize("laid", GIVEN, ids=lambda laid: laid.name)
def test_home_given(root: Path, start: Start, laid: Laid) -> None:
    laid.lay(root, "/home/mine")
    got = start("sh", "-c", "echo $HOME", environ=QUIET | {"HOME": "/home/mine"}).stdout.strip()
    expected = "/home/mine" if laid.taken else f"/tmp/home-{UID}"
    assert got == expected
    found = in_python(root, cache_made, HOME="/home/mine")
    assert found == f"{expected}/.cache/jaxpad"


@pytest.mark.parametrize(
    "laid", [one for one in MADE_UP if one.kind != "link"], ids=lambda laid: laid.name
)
@pytest.mark.parametrize("place", ["jaxpad", "jaxpad/effects"])
def test_cache_folder(root: Path, place: str, laid: Laid) -> None:
    """The same rules for each folder of the cache."""
    above = root / "home/jax/.cache/jaxpad"
    above.mkdir(parents=True, mode=0o700)
    for one in (above.parent, above):
        os.chown(one, UID, UID)
    if place == "jaxpad":
        above.rmdir()
    laid.lay(root, f"/home/jax/.cache/{place}")
    found = in_python(root, cache_made, HOME="/home/jax")
    if laid.taken:
        assert found == "/home/jax/.cache/jaxpad"
    else:
        assert found.startswith(f"refused: /home/jax/.cache/{place} "), found


def test_cache_that_the_user_has_moved(root: Path) -> None:
    (root / "tmp/large").mkdir(mode=0o700)
    (root / "home/jax/.cache").mkdir(mode=0o700)
    for name in ("tmp/large", "home/jax/.cache"):
        os.chown(root / name, UID, UID)
    (root / "home/jax/.cache/jaxpad").symlink_to("/tmp/large")
    assert in_python(root, cache_made, HOME="/home/jax") == "/home/jax/.cache/jaxpad"
    assert (root / "tmp/large/effects").is_dir()
    (root / "tmp/large").chmod(0o777)
    assert in_python(root, cache_made, HOME="/home/jax").startswith("refused: /tmp/large ")


def test_home_nowhere(root: Path, start: Start) -> None:
    (root / "tmp").chmod(0o755)
    done = start("printenv", "HOME", environ=QUIET | {"HOME": "/nonexistent"})
    assert (done.returncode, done.stdout) == (0, "/nonexistent\n")
    assert done.stderr == (
        "jaxpad: HOME /nonexistent cannot be written, and neither can /tmp: mount a folder there\n"
    )


def test_home_read_only_root(root: Path) -> None:
    """docker run --read-only --tmpfs /tmp: even root finds its home unwritable."""
    script = """mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" &&
        mount -t tmpfs tmpfs "$1/tmp" && exec chroot "$1" "$2" printenv HOME XLA_FLAGS"""
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(root), ENTRYPOINT]
    environ = QUIET | {"PATH": f"{ENV['PATH']}:{os.environ['PATH']}", "XLA_FLAGS_APPEND": "--xla_q"}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True)
    if "unshare: " in done.stderr:
        pytest.skip(f"no mount namespace here: {done.stderr.strip()}")
    assert done.stdout == f"/tmp/home-0\n{ENV['XLA_FLAGS'].strip()} --xla_q\n"


def test_user_named(root: Path, start: Start) -> None:
    assert start("printenv", "USER", "LOGNAME").stdout == "jax\njax\n"
    mine = QUIET | {"USER": "me", "LOGNAME": "you"}
    assert start("printenv", "USER", "LOGNAME", environ=mine).stdout == "me\nyou\n"
    lay(root, {"etc/passwd": f"ada:x:{UID}:{UID}::/home/jax:/bin/sh\n"})
    assert start("printenv", "USER", "LOGNAME").stdout == "ada\nada\n"


# The command.


def test_command_as_is(start: Start) -> None:
    words = ["a  b", "*", "$(id)", "", "--", "line\nline", "\\n"]
    done = start("sh", "-c", 'for word; do printf "%s|" "$word"; done', "sh", *words)
    assert done.stdout == "".join(f"{word}|" for word in words)
    assert start("sh", "-c", "exit 7").returncode == 7
    assert start("nosuch").returncode == 127


def test_no_command_is_a_shell(root: Path, start: Start) -> None:
    assert start().returncode == 0  # sh, at the end of its input
    lay(root, {"usr/bin/bash": "#!/bin/sh\necho bash\n"})
    (root / "usr/bin/bash").chmod(0o755)
    assert start().stdout == "bash\n"


# The flags.


def flags(start: Start, **added: str) -> tuple[str, str]:
    """XLA_FLAGS and JAXPAD_PROFILE as the command sees them."""
    code = 'printf "%s|%s" "$XLA_FLAGS" "${JAXPAD_PROFILE-}"'
    done = start("sh", "-c", code, environ=QUIET | added)
    assert (done.returncode, done.stderr) == (0, "")
    one, _, other = done.stdout.partition("|")
    return one, other


BASE = "--xla_base=1 --xla_gpu_enable_latency_hiding_scheduler=true"
HOPPER = profiles.render(profiles.load("fsdp-hopper"), "0.12.0")


def test_flags_baked(start: Start) -> None:
    assert flags(start) == (f" {BASE}", "")
    assert flags(start, JAXPAD_PROFILE="", XLA_FLAGS_APPEND="") == (f" {BASE}", "")


def test_flags_users(start: Start) -> None:
    """The user's own replace the image's, and are the user's own affair."""
    assert flags(start, XLA_FLAGS="--xla_u stray") == ("--xla_u stray", "")
    assert flags(start, XLA_FLAGS="") == ("", "")


def test_flags_profile(start: Start) -> None:
    assert flags(start, JAXPAD_PROFILE="fsdp-hopper") == (
        f"--xla_base=1 {HOPPER}",
        "fsdp-hopper",
    )
    assert flags(start, JAXPAD_PROFILE="none", XLA_FLAGS="--xla_u", XLA_FLAGS_APPEND="--xla_v") == (
        "--xla_base=1 --xla_u --xla_v",
        "none",
    )


def test_flags_append(start: Start) -> None:
    assert flags(start, XLA_FLAGS_APPEND="--xla_v") == (f"{BASE} --xla_v", "base")
    assert flags(start, XLA_FLAGS_APPEND="--xla_v", XLA_FLAGS="--xla_u") == ("--xla_u --xla_v", "")


@pytest.mark.parametrize("name", ["JAXPAD_PROFILE", "XLA_FLAGS_APPEND"])
def test_flags_refused(start: Start, name: str) -> None:
    done = start("echo", "ran", environ=QUIET | {name: "../x"})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("jaxpad: ")


def composed(name: str, **added: str) -> dict[str, str]:
    """What with-profile leaves to an entrypoint inside it."""
    environ = ENV | {"XLA_FLAGS": "--xla_u"} | added
    made = profiles.compose(profiles.load(name), environ, "0.12.0").environ
    return {k: v for k, v in made.items() if k not in ENV or k == "XLA_FLAGS"}


def test_flags_composed_stay(start: Start) -> None:
    """What the user changed behind with-profile stands; another profile's name does not wait."""
    outer = composed("fsdp-hopper", XLA_FLAGS_APPEND="--xla_v")
    assert flags(start, **outer) == (outer["XLA_FLAGS"], "fsdp-hopper")
    changed = composed("fsdp-hopper") | {"XLA_FLAGS": "--xla_w"}
    assert flags(start, **changed) == ("--xla_w", "fsdp-hopper")
    assert flags(start, **(outer | {"JAXPAD_PROFILE": "none"})) == (
        "--xla_base=1 --xla_u --xla_v",
        "none",
    )


def test_flags_composed_append_later(start: Start) -> None:
    outer = composed("none")
    assert flags(start, **outer) == ("--xla_base=1 --xla_u", "none")
    assert flags(start, **outer, XLA_FLAGS_APPEND="--xla_v") == (
        "--xla_base=1 --xla_u --xla_v",
        "none",
    )
