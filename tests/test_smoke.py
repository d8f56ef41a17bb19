"""The whole suite on this machine, for real, and what breaking JAX on purpose leads to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from importlib import metadata
from pathlib import Path

import jsonschema
import pytest

from helpers import HOME, NOT_HERE, SmokeRun, environ, smoke, smoke_argv
from jaxpad.core import host
from jaxpad.smoke import collection

SCHEMA = HOME / "jaxpad/report/smoke.schema.json"
OLD_JAXLIB = "0.9.2"  # older than every jax in the pins accepts
CHECKS = collection.collect(HOME / "smoke_tests")
ALL = {check.name for check in CHECKS}
NEEDS_JAX = {check.name for check in collection.collect(HOME / "smoke_tests") if check.needs_jax}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[SmokeRun, Path]:
    if host.gpu_evidence():
        pytest.skip("this machine has a GPU; what follows is about one that has none")
    out = tmp_path_factory.mktemp("whole")
    return smoke(out), out


def test_whole_suite_passes(whole: tuple[SmokeRun, Path]) -> None:
    run, _ = whole
    assert run.code == 0, run.stderr
    assert run.report["verdict"] == "pass"
    expected = {name: "not applicable" if name in NOT_HERE else "pass" for name in ALL}
    assert run.verdicts() == expected


def test_whole_report_is_valid(whole: tuple[SmokeRun, Path]) -> None:
    run, out = whole
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(run.report)
    cases = ET.parse(out / "junit.xml").getroot().iter("testcase")
    assert {case.get("name") for case in cases} == ALL
    assert (out / "report.html").stat().st_size > 10_000


def test_summary_says_cpu_and_what_next(whole: tuple[SmokeRun, Path]) -> None:
    run, out = whole
    assert "no NVIDIA GPU" in run.stderr
    assert str(out) in run.stderr or "report.html" in run.stderr
    assert run.report["platform"]["found"] == "cpu"


def told(printed: str) -> list[str]:
    """The lines of a run that stay, without their seconds and from the first file on."""
    kept = re.sub(r"^test_\w+\.py: .*\n", "", printed, flags=re.M)
    body = kept.partition("Report: ")[0]
    return re.sub(r"(, | in )[\d.]+ (s|min)( [\d.]+ s)?$", r"\1N s", body, flags=re.M).split("\n")


def test_readme_shows_this_run(whole: tuple[SmokeRun, Path]) -> None:
    """Checks by file, counts and last lines; renewed by `invoke docs --record`."""
    run, _ = whole
    kept = (HOME / "docs/examples/smoke-cpu.txt").read_text()
    assert told(run.stderr) == told(kept)
    assert kept.strip() in (HOME / "README.md").read_text()
    counts = [line.split() for line in told(kept) if line.startswith("arrays ")]
    assert counts == [["arrays", str(len(run.verdicts("test_arrays"))), "pass,", "N", "s"]]


def test_fatal_flag(tmp_path: Path) -> None:
    run = smoke(tmp_path, XLA_FLAGS="--xla_gpu_bogus=true")
    assert run.code == 1
    assert "xla_gpu_bogus" in run.check("test_flags_accepted")["reason"]
    assert {run.verdicts()[name] for name in NEEDS_JAX} == {"inconclusive"}
    assert run.verdicts()["test_cache_writable"] == "pass"
    assert run.check("test_jax_starts")["remedy"]


def test_stray_token_named(tmp_path: Path) -> None:
    flags = "--xla_cpu_enable_fast_math=true oops --xla_gpu_autotune_level=0"
    run = smoke(tmp_path, "-k", "flags_not_cut", XLA_FLAGS=flags)
    assert run.code == 1
    assert "'oops'" in run.check("test_flags_not_cut")["reason"]
    assert run.report["xla_flags"]["dropped"].startswith("oops")


def test_flags_that_are_a_path(tmp_path: Path) -> None:
    flags = tmp_path / "flags.txt"
    flags.write_text("--xla_gpu_autotune_level=0\n")
    run = smoke(tmp_path, "-k", "flags_not_cut", XLA_FLAGS=str(flags))
    assert run.verdicts()["test_flags_not_cut"] == "inconclusive", "JAX reads the file"
    run = smoke(tmp_path, "-k", "flags_not_cut", XLA_FLAGS=str(tmp_path / "none"))
    assert run.code == 1
    assert "the path of a file" in run.check("test_flags_not_cut")["reason"]


def test_asked_flags_not_in_force(tmp_path: Path) -> None:
    """A profile that is asked for and flags to append, of which XLA_FLAGS has none."""
    asked = {"JAXPAD_PROFILE": "fsdp-hopper", "XLA_FLAGS_APPEND": "--xla_gpu_autotune_level=0"}
    run = smoke(tmp_path, "-k", "test_profile.py", **asked)
    assert run.code == 1
    failed = {name for name, verdict in run.verdicts().items() if verdict == "fail"}
    assert failed == {"test_profile_flags", "test_profile_variables", "test_append_in_force"}
    assert "--profile" in run.check("test_profile_flags")["remedy"]


def test_profile_in_force(tmp_path: Path) -> None:
    added = {"XLA_FLAGS_APPEND": "--xla_gpu_autotune_level=0"}
    run = smoke(tmp_path, "--profile", "fsdp-hopper", "-k", "profile or flags", **added)
    assert run.code == 0, run.stderr
    origins = {flag["origin"] for flag in run.report["xla_flags"]["flags"]}
    assert {"profile fsdp-hopper", "XLA_FLAGS_APPEND"} <= origins


def unshared(mount: str) -> list[str]:
    """Runs a command after `mount` in a mount namespace of its own."""
    return ["unshare", "--mount", "sh", "-euc", f'{mount}; exec "$@"', "sh"]


@pytest.mark.parametrize(
    "setting",
    [
        "JAX_DISABLE_JIT=1",
        "JAX_DEBUG_NANS=true",
        "JAX_ENABLE_X64=1",
        "JAX_DEFAULT_MATMUL_PRECISION=highest",
        "JAX_TRANSFER_GUARD_DEVICE_TO_HOST=disallow",
        "JAX_NUM_CPU_DEVICES=4",
        "JAX_PLATFORMS=tpu",
        "JAXTYPING_DISABLE=1",
        "PYTHONOPTIMIZE=1",
    ],
)
def test_variable_is_the_one_cause(tmp_path: Path, setting: str) -> None:
    name, _, value = setting.partition("=")
    run = smoke(tmp_path, "-k", "jax_starts or arrays", **{name: value})
    meant = "" if name == "JAX_PLATFORMS" else f"; if it is meant, jaxpad smoke --allow {name}"
    assert run.check("test_jax_starts")["remedy"] == f"unset {name}{meant}"
    assert set(run.verdicts("test_arrays").values()) == {"inconclusive"}
    assert list(run.verdicts().values()).count("fail") == 1
    assert setting in run.check("test_item_assignment")["reason"]
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("by", ["option", "project"])
def test_variable_that_is_meant(tmp_path: Path, by: str) -> None:
    """The project's checks have it, the shipped ones judge JAX without it, the report says so."""
    project = tmp_path / "project"
    (project / "smoke_tests").mkdir(parents=True)
    own = "import jax\n\ndef test_own_x64():\n    assert jax.numpy.arange(2.0).dtype == 'float64'\n"
    (project / "smoke_tests/test_own.py").write_text(own)
    if by == "project":
        (project / "configs").mkdir()
        (project / "configs/project.toml").write_text('variables = ["JAX_ENABLE_X64"]\n')
    words = ["--allow", "JAX_ENABLE_X64"] if by == "option" else []
    names = "jax_starts or augmented or own_x64 or compile_dtype"
    given = {"JAX_ENABLE_X64": "1", "JAXPAD_PROJECT": str(project)}
    run = smoke(tmp_path / "out", *words, "-k", names, **given)
    assert run.code == 0, run.stderr
    assert len(run.verdicts()) == 4
    assert "JAX_ENABLE_X64=1 (allowed: " in " ".join(run.report["overrides"])


def test_only_what_changes_meaning_can_be_meant(tmp_path: Path) -> None:
    run = smoke(tmp_path / "out", "--allow", "JAX_PLATFORMS")
    assert (run.code, run.stderr.count("\n")) == (2, 1)
    assert "JAX_PLATFORMS is no variable that changes" in run.stderr


def test_variables_that_change_nothing(tmp_path: Path) -> None:
    plain = {"JAX_DISABLE_JIT": "0", "JAX_ENABLE_X64": "false", "PYTEST_PLUGINS": "no_such_plugin"}
    assert smoke(tmp_path, "-k", "jax_starts or item_assignment", **plain).code == 0


@pytest.mark.parametrize(
    ("value", "verdict"), [("FALSE", "fail"), ("off", "fail"), ("no", "fail"), ("false", "pass")]
)
def test_preallocate_as_jax_reads_it(tmp_path: Path, value: str, verdict: str) -> None:
    run = smoke(tmp_path, "-k", "memory_settings", XLA_PYTHON_CLIENT_PREALLOCATE=value)
    assert run.verdicts()["test_memory_settings"] == verdict


def test_cache_that_is_a_url(tmp_path: Path) -> None:
    run = smoke(tmp_path, "-k", "cache_writable", JAX_COMPILATION_CACHE_DIR="gs://bucket/cache")
    assert run.verdicts()["test_cache_writable"] == "inconclusive"
    assert not (HOME / "gs:").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace of its own needs root")
@pytest.mark.parametrize("platform", ["auto", "gpu"])
def test_gpu_asked_for_tells_the_same_cause(tmp_path: Path, platform: str) -> None:
    """JAX looks at the real /dev, so the nodes are laid into one of the run's own."""
    lay = "mount --rbind /dev /mnt && mount -t tmpfs tmpfs /dev && touch /dev/nvidia0 && "
    lay += "for n in null zero urandom random; do touch /dev/$n; "
    lay += "mount --bind /mnt/$n /dev/$n; done; mkdir /dev/shm"
    options = ("--platform", platform, "-k", "jax_starts or platform_expected or item_assignment")
    run = smoke(tmp_path, *options, wrap=unshared(lay))
    assert run.verdicts()["test_jax_starts"] == "pass", run.stderr
    assert "the CUDA plugin could not start" in run.check("test_platform_expected")["reason"]
    assert run.verdicts()["test_item_assignment"] == "pass"
    assert "Traceback" not in run.stderr


def test_cache_without_space(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    full = unshared(f"mount -t tmpfs -o size=64k tmpfs {cache}")
    run = smoke(
        tmp_path / "out",
        "-k",
        "cache_writable or in_effect",
        wrap=full,
        JAX_COMPILATION_CACHE_DIR=str(cache),
    )
    assert run.code == 1, run.stderr
    assert "No space left on device" in run.check("test_cache_writable")["reason"]
    assert "JAX_COMPILATION_CACHE_DIR" in run.check("test_cache_writable")["remedy"]
    assert run.verdicts()["test_flags_in_effect"] == "pass", "JAX itself works without a cache"


def test_temporary_folder_without_space(tmp_path: Path) -> None:
    full = tmp_path / "tmp"
    full.mkdir()
    mount = unshared(f"mount -t tmpfs -o size=4k tmpfs {full}; echo x > {full}/x")
    run = smoke(tmp_path / "out", "-k", "temporary or starts", wrap=mount, TMPDIR=str(full))
    assert run.code == 1, run.stderr
    assert "No space left on device" in run.check("test_temporary_writable")["reason"]
    assert "TMPDIR" in run.check("test_temporary_writable")["remedy"]
    assert run.verdicts()["test_jax_starts"] == "pass"


def test_read_only_cache(tmp_path: Path) -> None:
    """Where somebody says that it has to be there; for a home that takes none another is found."""
    home = tmp_path / "home"
    home.mkdir()
    locked = unshared(f"mount -t tmpfs -o ro tmpfs {home}")
    only = ("-k", "cache_writable or arrays")
    other = {"XDG_CACHE_HOME": "", "HOME": str(home)}
    assert smoke(tmp_path / "other", *only, wrap=locked, **other).code == 0
    run = smoke(tmp_path / "out", *only, wrap=locked, XDG_CACHE_HOME=str(home))
    assert run.code == 1, run.stderr
    assert "Read-only file system" in run.check("test_cache_writable")["reason"]
    assert set(run.verdicts("test_arrays").values()) == {"pass"}


@pytest.mark.parametrize(("package", "starts"), [("jax-cuda12-plugin", "pass"), ("jaxlib", "fail")])
def test_wrong_version(tmp_path: Path, package: str, starts: str) -> None:
    older = "0.10.1" if metadata.version("jaxlib").startswith("0.10.") else "0.11.0"
    version = older if package == "jax-cuda12-plugin" else OLD_JAXLIB
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
    target = ["--target", str(tmp_path / "other"), "--python", sys.executable]
    subprocess.run([*uv, *target, f"{package}=={version}"], check=True)
    path = f"{tmp_path / 'other'}:{HOME}"
    run = smoke(tmp_path / "out", "-k", "versions_match or jax_starts or lax", PYTHONPATH=path)
    assert run.code == 1
    assert version in run.check("test_versions_match")["reason"]
    assert "requirements/cpu.txt" in run.check("test_versions_match")["remedy"]
    assert run.verdicts()["test_jax_starts"] == starts
    assert set(run.verdicts("test_lax").values()) == {
        "pass" if starts == "pass" else "inconclusive"
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_leaves_whole_report(tmp_path: Path, number: signal.Signals) -> None:
    argv = smoke_argv(tmp_path)
    with subprocess.Popen(argv, env=environ(), stderr=subprocess.PIPE, text=True, cwd=HOME) as run:
        deadline = time.monotonic() + 90
        while not _answered(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.2)
        run.send_signal(number)
        _, stderr = run.communicate(timeout=60)
    report = json.loads((tmp_path / "smoke.json").read_text())
    assert run.returncode == 128 + number, stderr
    assert report["interrupted"] == number.name
    assert {check["name"] for check in report["checks"]} == ALL
    assert {check["verdict"] for check in report["checks"]} >= {"pass", "inconclusive"}


def _answered(out: Path) -> int:
    try:
        report = json.loads((out / "smoke.json").read_text())
    except (OSError, ValueError):
        return 0
    return int(report["counts"]["pass"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--platform", "tpu"], "unknown platform 'tpu': expected auto, gpu or cpu"),
        (["-k", "no_such_check"], "names no check"),
        (["-k", "a and"], "is not an expression"),
        (["--limit", "soon"], "'soon'"),
        (["--limit", "0"], "from 0.1 on"),
        (["--limit", "inf"], "from 0.1 on"),
        (["--profile", "fsdp-hoper"], "fsdp-hopper"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_option_is_one_sentence(tmp_path: Path, options: list[str], sentence: str) -> None:
    run = smoke(tmp_path / "out", *options)
    assert run.code == 2
    assert sentence in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_unwritable_out_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file\n")
    run = smoke(tmp_path / "out")
    assert run.code == 2
    assert len(run.stderr.strip().splitlines()) == 1
    assert (tmp_path / "out").read_text() == "a file\n"


def test_dry_run_is_pasteable(tmp_path: Path) -> None:
    argv = smoke_argv(tmp_path / "out", "--dry-run", "-k", "append")
    done = subprocess.run(argv, env=environ(), capture_output=True, text=True, cwd=HOME, check=True)
    assert not (tmp_path / "out").exists()
    assert len(done.stdout.splitlines()) == 1
    pasted = subprocess.run(
        ["sh", "-c", done.stdout], env=environ(), capture_output=True, cwd=tmp_path
    )
    assert pasted.returncode == 0, pasted.stderr


def test_json_on_stdout(tmp_path: Path) -> None:
    argv = smoke_argv(tmp_path, "--json", "-k", "temporary")
    done = subprocess.run(argv, env=environ(), capture_output=True, text=True, cwd=HOME, check=True)
    assert json.loads(done.stdout) == json.loads((tmp_path / "smoke.json").read_text())
