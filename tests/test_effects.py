"""What flags do, with the real compiler. In children: the workers are ours, the cache is not."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from helpers import HOME, environ
from jaxpad.effects import explanation
from jaxpad.effects.model import Effect, Verdict
from jaxpad.flags import jaxlib_version

SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
from jaxpad.cli import explain
from jaxpad.commands.profile import ExplainOptions
from jaxpad.core.results import UsageError
try:
    sys.exit(explain.explain(ExplainOptions(*sys.argv[1:], json=True)))
except UsageError as error:
    sys.stderr.write(f"jaxpad: {error}")
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(130)
finally:
    sys.stderr.write("no JAX" if "jax" not in sys.modules else "JAX")
"""
LATENCY_HIDING = "xla_gpu_enable_latency_hiding_scheduler"


@dataclass(frozen=True)
class Told:
    code: int
    stderr: str
    found: dict[str, Any]

    def flag(self, name: str) -> dict[str, Any]:
        one: dict[str, Any] = next(flag for flag in self.found["flags"] if flag["name"] == name)
        return one


def argv(*words: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", SCRIPT, *words]


def explain(cache: Path, *words: str, folder: Path = HOME) -> Told:
    done = subprocess.run(
        argv(*words),
        env=environ(XDG_CACHE_HOME=str(cache), PYTHONPATH=str(HOME)),
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=240,
    )
    return Told(done.returncode, done.stderr, json.loads(done.stdout or "{}"))


# Profiles of the tests, each with what it is asked for.
ODD = {
    "alias": ("h100-sxm", "fsdp", {"xla_gpu_enable_pipelined_all_gather": "true"}),
    "odd": (
        "a100-sxm-80",
        "dense",
        {
            "xla_gpu_no_such_flag": "1",
            "xla_gpu_autotune_level": "x",
            "xla_gpu_nccl_termination_timeout_seconds": "100",
            "xla_gpu_filter_kernels_spilling_registers_on_autotuning": "false",
            "xla_gpu_deterministic_ops": "true",
        },
    ),
    "breaks": ("a100-sxm-80", "dense", {"xla_disable_all_hlo_passes": "true"}),
    "einsum": ("h100-sxm", "fsdp", {"xla_gpu_threshold_for_windowed_einsum_mib": "0"}),
    "no-option": ("a100-sxm-80", "dense", {"xla_gpu_enable_pipelined_p2p": "true"}),
    "default": ("a100-sxm-80", "dense", {"xla_gpu_triton_gemm_any": "true"}),
    "map": (
        "a100-sxm-80",
        "dense",
        {"xla_gpu_analytical_latency_estimator_options": "nic_speed_gbps=25.0"},
    ),
}
SHIPPED = (
    ("base", "a100-sxm-80", "fsdp"),
    ("base", "a100-sxm-80", "fsdp", "base"),
    ("base", "h100-sxm", "fsdp"),
    ("deterministic", "h100-sxm", "conv"),
)
# The cells of all tests at once: each is compiled once, and a worker starts once for many.
WARM = """
import json, sys
from jaxpad import effects, gpus, profiles, workloads
asked = [
    effects.Question(
        profiles.load(profile),
        gpus.load(gpu),
        workloads.load(workload),
        *map(profiles.load, against),
    )
    for profile, gpu, workload, *against in json.load(sys.stdin)
]
effects.explain_all(asked)
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the profiles of `ODD`."""
    folder = tmp_path_factory.mktemp("profiles")
    for name, (_, _, flags) in ODD.items():
        rows = (
            f'[[flag]]\nname = "{flag}"\nvalue = "{value}"\nwhy = "a test"\n'
            'source = "https://x.org"\n'
            for flag, value in flags.items()
        )
        (folder / f"{name}.toml").write_text('description = "for a test"\n' + "".join(rows))
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, mine: Path) -> Path:
    """Where answers are kept, with those of `SHIPPED` and `ODD`.

    JAXPAD_TEST_CACHE keeps them between runs. A key holds the releases, the flags, the
    workload and jaxpad's own source, so what any of these change is compiled again.
    """
    kept = os.environ.get("JAXPAD_TEST_CACHE")
    found = Path(kept).absolute() if kept else tmp_path_factory.mktemp("cache")
    own = [(str(mine / f"{name}.toml"), gpu, workload) for name, (gpu, workload, _) in ODD.items()]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WARM],
        input=json.dumps([*SHIPPED, *own]),
        env=environ(XDG_CACHE_HOME=str(found)),
        capture_output=True,
        text=True,
        cwd=HOME,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return found


def explain_odd(cache: Path, mine: Path, name: str) -> Told:
    gpu, workload, _ = ODD[name]
    return explain(cache, str(mine / f"{name}.toml"), gpu, workload)


def flag_of(name: str) -> str:
    """The flag of a profile that has one."""
    (flag,) = ODD[name][2]
    return flag


@pytest.mark.parametrize(
    ("gpu", "verdict"), [("a100-sxm-80", "changes"), ("h100-sxm", "no effect")]
)
def test_latency_hiding_by_gpu(cache: Path, gpu: str, verdict: str) -> None:
    """As configs/profiles/base.toml says."""
    told = explain(cache, "base", gpu, "fsdp")
    assert told.code == 0, told.stderr
    one = told.flag(LATENCY_HIDING)
    assert (one["alone"]["verdict"], one["left_out"]["verdict"]) == (verdict, verdict)
    assert told.found["whole"]["verdict"] == verdict
    assert ("changes" in one["alone"]) == (verdict == "changes")


def test_json_shape_and_second_run(cache: Path) -> None:
    first = explain(cache, "base", "a100-sxm-80", "fsdp")
    second = explain(cache, "base", "a100-sxm-80", "fsdp")
    assert second.found == first.found
    assert "0 of 0 programs compiled, 2 cells kept" in second.stderr
    assert second.stderr.endswith("no JAX")
    named = {"profile": "base", "against": None, "gpu": "a100-sxm-80", "workload": "fsdp"}
    assert second.found | named | {"jaxlib": jaxlib_version()} == second.found
    assert second.flag(LATENCY_HIDING).keys() == {"name", "value", "alone", "left_out"}
    assert second.found.keys() == {*named, "jaxlib", "flags", "whole"}


def test_alias_flag_runs_through_xla_flags(cache: Path, mine: Path) -> None:
    """On jaxlib 0.12 no compile option is called so."""
    told = explain_odd(cache, mine, "alias")
    assert told.code == 0, told.stderr
    assert told.found["whole"]["verdict"] == "changes"


def test_odd_flags(cache: Path, mine: Path) -> None:
    told = explain_odd(cache, mine, "odd")
    assert told.code == 1, told.stderr
    assert {flag["name"]: flag["alone"]["verdict"] for flag in told.found["flags"]} == {
        "xla_gpu_no_such_flag": "fatal",
        "xla_gpu_autotune_level": "rejected value",
        "xla_gpu_nccl_termination_timeout_seconds": "run time only",
        "xla_gpu_filter_kernels_spilling_registers_on_autotuning": "undecided without a device",
        "xla_gpu_deterministic_ops": "undecided without a device",
    }
    assert "does not know" in told.flag("xla_gpu_no_such_flag")["alone"]["reason"]


def test_breaks_the_compile(cache: Path, mine: Path) -> None:
    """Nothing lowers what is left for later passes, so XLA cannot emit the program."""
    told = explain_odd(cache, mine, "breaks")
    assert told.code == 0, told.stderr
    alone = told.flag("xla_disable_all_hlo_passes")["alone"]
    assert alone["verdict"] == "breaks the compile"
    assert alone["reason"]
    assert "\n" not in alone["reason"]


def test_windowed_einsum_breaks_fsdp(cache: Path, mine: Path) -> None:
    """https://github.com/jax-ml/jax/issues/39200: on 0.12 what is for tensor parallelism."""
    told = explain_odd(cache, mine, "einsum")
    assert told.code == 0, told.stderr
    alone = told.flag(flag_of("einsum"))["alone"]
    if Version(jaxlib_version()) < Version("0.12"):
        assert alone == {"verdict": "no effect"}
    else:
        assert alone["verdict"] == "breaks the compile"
        assert "async" in alone["reason"]


def test_deterministic_wants_a_device(cache: Path) -> None:
    told = explain(cache, "deterministic", "h100-sxm", "conv")
    alone = told.flag("xla_gpu_deterministic_ops")["alone"]
    if Version(jaxlib_version()) >= Version("0.12"):
        assert alone["verdict"] == "undecided without a device"
        assert "config" in alone["reason"]
    else:
        assert alone["verdict"] in ("changes", "undecided without a device")


def test_no_option_is_not_broken(cache: Path, mine: Path) -> None:
    """As a compile option XLA refuses it with `raw_hash_map<>::at`; in XLA_FLAGS it works."""
    told = explain_odd(cache, mine, "no-option")
    assert told.flag(flag_of("no-option"))["alone"] == {"verdict": "no effect"}


def test_default_is_said(cache: Path, mine: Path) -> None:
    told = explain_odd(cache, mine, "default")
    reason = "this is XLA's own default"
    assert told.flag(flag_of("default"))["alone"] == {"verdict": "no effect", "reason": reason}


def test_map_option(cache: Path, mine: Path) -> None:
    """No compile option takes a map, so this one runs in XLA_FLAGS."""
    told = explain_odd(cache, mine, "map")
    assert told.code == 0, told.stderr
    assert told.flag(flag_of("map"))["alone"] == {"verdict": "no effect"}


def test_workload_that_does_not_compile(cache: Path, tmp_path: Path) -> None:
    """More than any GPU's address space: a fact about the workload, so 1."""
    (tmp_path / "huge.py").write_text(
        "import jax, jax.numpy as jnp\n"
        "def step(mesh):\n"
        "    x = jax.ShapeDtypeStruct((1 << 40, 1 << 20), jnp.float32)\n"
        "    return jax.jit(lambda x: jnp.sort(x @ x.T)), (x,)\n"
    )
    told = explain(cache, "base", "h100-sxm", "huge:step", folder=tmp_path)
    assert (told.code, told.found) == (1, {})
    assert "does not compile for h100-sxm with no flags" in told.stderr


def test_against_another_profile(cache: Path) -> None:
    told = explain(cache, "base", "a100-sxm-80", "fsdp", "base")
    assert told.found["against"] == "base"
    assert told.flag(LATENCY_HIDING)["alone"]["verdict"] == "no effect"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nope", "h100-sxm", "fsdp"), "no profile is called 'nope'"),
        (("base", "h1000", "fsdp"), "no GPU is called 'h1000'"),
        (("base", "h100-sxm", "nope"), "no workload is called 'nope'"),
    ],
)
def test_unknown_names(cache: Path, words: tuple[str, ...], said: str) -> None:
    told = explain(cache, *words)
    assert told.code == 2
    assert said in told.stderr


def test_interrupt_keeps_what_is_done(tmp_path: Path) -> None:
    """On a busy machine the signal may come when all is done: then it is sent to another run."""
    words = ("debug", "h100-sxm", "dense")  # four programs, two at a time
    for place in range(3):
        kept = tmp_path / str(place)
        code, said = interrupted(kept, *words)
        assert code in (0, 130), said
        if code and len(programs(kept)) < 4:
            break
    assert code == 130, said
    assert "kept, run it again to go on" in said
    again = explain(kept, *words)
    assert again.code == 0
    assert re.search(r"[1-3] cells kept from before", again.stderr)


def programs(cache: Path) -> list[Path]:
    """The compiled programs that are kept there."""
    return [file for file in cache.rglob("*.json") if "program" in file.read_text()]


def interrupted(cache: Path, *words: str) -> tuple[int, str]:
    """Exit code and stderr of a run that gets SIGINT once it has kept a program."""
    run = subprocess.Popen(
        argv(*words),
        env=environ(XDG_CACHE_HOME=str(cache)),
        stderr=subprocess.PIPE,
        text=True,
        cwd=HOME,
    )
    while not programs(cache) and run.poll() is None:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=30)
    return run.returncode, said


@pytest.mark.parametrize(
    ("whole", "parts", "expected"),
    [
        ("no effect", ["no effect", "undecided without a device"], "undecided without a device"),
        ("no effect", ["run time only", "no effect"], "run time only"),
        ("no effect", ["no effect"], "no effect"),
        ("changes", ["undecided without a device"], "changes"),
    ],
)
def test_whole_is_no_surer_than_its_flags(whole: str, parts: list[str], expected: str) -> None:
    """`single` on jaxlib 0.12: its one flag is undecided, and all of it had "no effect"."""
    effects = [Effect(Verdict(part), reason="why") for part in parts]
    found = explanation._as_its_parts(Effect(Verdict(whole)), effects)
    assert found.verdict == expected
