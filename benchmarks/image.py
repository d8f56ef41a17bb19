"""What our part of the image costs: its size, a rebuild, a profile, the start of a container.

    python -m benchmarks.image [IMAGE [BUILD-OPTION...]]

IMAGE is one of `invoke build`, by default the newest; the options are those it was built with,
such as --ca-bundle.

Four numbers, each beside what it is compared with, in one run:

- size: the layers that IMAGE has on top of its base, each compressed by gzip -6 as registries
  keep them. JAX, NVIDIA's libraries and the distribution are in the base.
- rebuild: `docker build` after one smoke test was edited, everything else in the cache: the
  steps that ran, without the export, which is the engine's own and grows with nothing of ours.
- profile: `with-profile base -- true` in a container, beside `env true`: medians in turns.
- start: from `docker run` to the first jitted result, beside the same image without our
  entrypoint: medians in turns.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from benchmarks import results
from jaxpad.containers import engine as containers_engine
from jaxpad.containers.engine import Image
from jaxpad.containers.engines.oci import Oci
from jaxpad.core.paths import HOME

COMMAND = "python -m benchmarks.image"
FIRST_JIT = "import jax; print(jax.jit(lambda x: x + 1)(1.0).block_until_ready())"
TURNS = """
import json, subprocess, time
def cost(argv):
    begun = time.perf_counter()
    subprocess.run(argv, check=True)
    return time.perf_counter() - begun
pairs = [(cost(["with-profile", "base", "--", "true"]), cost(["env", "true"])) for _ in range(200)]
print(json.dumps(pairs))
"""


def main() -> None:
    """Measure everything and note it."""
    engine = containers_engine.find("docker", building=True)
    assert isinstance(engine, Oci)
    image = _image(engine, sys.argv[1:])
    size(engine, image)
    rebuild(engine, image, sys.argv[2:])
    profile(engine, image)
    start(engine, image)


def _image(engine: Oci, words: Sequence[str]) -> Image:
    found = (
        containers_engine.inspect(engine, words[0])
        if words
        else next(iter(containers_engine.images(engine)), None)
    )
    return found or sys.exit("there is no such image: invoke build")


def size(engine: Oci, image: Image) -> None:
    """Compressed bytes of the layers that are not the base's."""
    base = f"jaxpad-base:{image.labels['io.jaxpad.base']}-cuda{image.labels['io.jaxpad.cuda']}"
    below = len(_layers(engine, base))
    with subprocess.Popen(
        [engine.program, "save", image.reference], stdout=subprocess.PIPE
    ) as saved:
        by_name, order = _compressed(saved.stdout)
    ours = sum(by_name[name] for name in order[below:])
    results.note(
        "image_size",
        what="the workspace's layers on top of its base, compressed (goal: at most 60 MB)",
        value=f"{ours / 1e6:.1f} MB",
        command=COMMAND,
    )


def _layers(engine: Oci, image: str) -> list[str]:
    argv = [engine.program, "image", "inspect", "--format", "{{json .RootFS.Layers}}", image]
    found: list[str] = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return found


def _compressed(stream: IO[bytes] | None) -> tuple[dict[str, int], list[str]]:
    """The compressed size of each layer of a `docker save`, and their order, lowest first."""
    sizes: dict[str, int] = {}
    order: list[str] = []
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content and member.name.endswith("layer.tar"):
                sizes[member.name] = _gzipped(content) if member.size < 2**30 else 0
            elif content and member.name == "manifest.json":
                order = json.load(content)[0]["Layers"]
    return sizes, order


def _gzipped(content: IO[bytes]) -> int:
    packer = zlib.compressobj(6, wbits=31)
    total = 0
    while chunk := content.read(1 << 20):
        total += len(packer.compress(chunk))
    return total + len(packer.flush())


def rebuild(engine: Oci, image: Image, options: Sequence[str]) -> None:
    """Seconds of the steps that an edited smoke test makes the engine run again."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder, "checkout")
        subprocess.run(["git", "clone", "-q", str(HOME), str(checkout)], check=True)
        build = [sys.executable, "-m", "jaxpad", "build", "--tag", "jaxpad-benchmark"]
        build += [
            "--base",
            image.labels["io.jaxpad.base"],
            "--cuda",
            image.labels["io.jaxpad.cuda"],
        ]
        build += options
        _log(build, checkout)
        with (checkout / "smoke_tests/test_jit.py").open("a") as file:
            file.write("# edited\n")
        begun = time.perf_counter()
        ran = _seconds_of_steps(_log(build, checkout))
        whole = time.perf_counter() - begun
    subprocess.run([engine.program, "image", "rm", "--force", "jaxpad-benchmark"], check=True)
    results.note(
        "image_rebuild",
        what="steps of a rebuild after editing one smoke test (goal: under 5 s)",
        value=f"{ran:.1f} s of steps, {whole:.1f} s in all",
        command=COMMAND,
    )


def _log(argv: Sequence[str], checkout: Path) -> str:
    done = subprocess.run(argv, cwd=checkout, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return done.stderr


def _seconds_of_steps(log: str) -> float:
    """The DONE times of BuildKit's plain log, the exports left out."""
    exports = set(re.findall(r"^#(\d+) exporting to image", log, re.MULTILINE))
    steps = re.findall(r"^#(\d+) DONE ([\d.]+)s", log, re.MULTILINE)
    return sum(float(seconds) for number, seconds in steps if number not in exports)


def profile(engine: Oci, image: Image) -> None:
    """Milliseconds that with-profile adds to a command, inside one container."""
    argv = [engine.program, "run", "--rm", "--env", "JAXPAD_QUIET=1", image.reference]
    done = subprocess.run([*argv, "python3", "-c", TURNS], check=True, capture_output=True)
    ours, bare = map(statistics.median, zip(*json.loads(done.stdout), strict=True))
    results.note(
        "image_profile",
        what="`with-profile base -- true` over `env true` (goal: at most 5 ms more)",
        value=f"{(ours - bare) * 1e3:.1f} ms more ({ours * 1e3:.1f} and {bare * 1e3:.1f} ms)",
        command=COMMAND,
    )


def start(engine: Oci, image: Image, rounds: int = 9) -> None:
    """Seconds from `docker run` to the first jitted result, with and without our entrypoint."""
    run = [engine.program, "run", "--rm", "--env", "JAX_PLATFORMS=cpu"]
    ours = [*run, image.reference, "python3", "-c", FIRST_JIT]
    bare = [*run, "--entrypoint", "python3", image.reference, "-c", FIRST_JIT]
    pairs = [(_cost(ours), _cost(bare)) for _ in range(rounds + 1)][1:]
    with_ours, without = map(statistics.median, zip(*pairs, strict=True))
    results.note(
        "image_start",
        what="`docker run` to the first jitted result, beside no entrypoint (goal: 1.05 times)",
        value=f"{with_ours:.2f} s, {with_ours / without:.2f} times",
        command=COMMAND,
    )


def _cost(argv: Sequence[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
