"""The real parser's answer to flag strings, and to profiles."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import run

import pytest

from jaxpad import flags, profiles
from jaxpad.core.results import UsageError

# Each is in a flag list that is still published; each stops a current JAX.
DEAD = (
    "xla_gpu_enable_async_collectives",
    "xla_gpu_enable_async_all_gather",
    "xla_gpu_enable_async_reduce_scatter",
    "xla_gpu_lhs_enable_gpu_async_tracker",
    "xla_gpu_enable_custom_fusions",
    "xla_gpu_enable_address_computation_fusion",
    "xla_gpu_enable_nccl_per_stream_comms",
    "xla_gpu_cudnn_gemm_fusion",
    "xla_gpu_graph_level",
    "xla_gpu_simplify_all_fp_conversions",
    "xla_gpu_enable_xla_runtime_executable",
    "xla_gpu_enable_triton_softmax_fusion",
)


def test_accept_dead() -> None:
    text = " ".join(f"--{name}=true" for name in DEAD)
    accepted = flags.accept(f"--xla_gpu_autotune_level=0 {text}")
    assert not accepted.ok
    assert accepted.unknown == DEAD
    assert accepted.bad_value is None
    assert accepted.message.startswith(f"Unknown flags in XLA_FLAGS: --{DEAD[0]}=true")


@pytest.mark.parametrize("name", profiles.names())
def test_accept_shipped(name: str) -> None:
    profile = profiles.load(name)
    assert flags.accept(profiles.render(profile, flags.jaxlib_version())) == flags.Acceptance(
        ok=True
    )
    assert flags.check(profile) == ()  # nothing that is the default, or without effect


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("xla_gpu_autotune_level=x", "Couldn't interpret value x for flag xla_gpu_autotune_level."),
        ("xla_gpu_enable_command_buffer=FOO", "Illegal value for --xla_gpu_enable_command_buffer"),
        ("xla_step_marker_location=1", "Check failed"),
    ],
)
def test_accept_bad_value(value: str, message: str) -> None:
    """A bad value keeps XLA from naming unknown flags, and sometimes from naming itself."""
    accepted = flags.accept(f"--{value} --xla_zz")
    assert accepted.bad_value == value.partition("=")[0]
    assert accepted.unknown == ("xla_zz",)
    assert accepted.message.startswith(message)


def test_accept_quoted() -> None:
    accepted = flags.accept("--xla_zz='x --xla_yy' --xla_gpu_autotune_level='1 2' --xla_xx")
    assert accepted.unknown == ("xla_zz", "xla_xx")
    assert accepted.bad_value == "xla_gpu_autotune_level"
    assert flags.accept("--xla_gpu_cuda_data_dir='/a b'--xla_gpu_autotune_level=2").ok


def test_accept_file_and_stray() -> None:
    assert flags.accept("flags.txt").message.startswith('Could not open file "flags.txt"')
    assert flags.accept("--xla_gpu_autotune_level=0 stray --xla_zz").ok  # XLA never sees it


def test_accept_ignores_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_zz")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert flags.accept("").ok
    assert "interpret value x" in flags.accept("--xla_gpu_autotune_level=x").message


def test_accept_slow() -> None:
    accepted = flags.accept("--xla_zz", timeout=0.01)
    assert accepted == flags.Acceptance(
        ok=False, message="XLA's parser did not answer within 0.01 s", late=True
    )


def test_accept_no_jaxlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "jaxlib.py").write_text("raise ImportError('broken wheel')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    accepted = flags.accept("--xla_zz")
    assert not accepted.ok
    assert accepted.message == "jaxlib did not start: ImportError: broken wheel"


def test_accept_imports_no_jax() -> None:
    code = "import sys; from jaxpad import flags; flags.accept(''); print('jax' in sys.modules)"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


CHECKED = [
    (
        "xla_gpu_graph_level",
        "3",
        "does not know xla_gpu_graph_level (known by jaxlib 0.4.38 to 0.6.2)",
    ),
    ("xla_gpu_autotune_levels", "3", "did you mean xla_gpu_autotune_level"),
    (
        "xla_gpu_autotune_level",
        "true",
        "refuses 'true' for xla_gpu_autotune_level, expected a whole",
    ),
    ("xla_gpu_autotune_level", "99999999999", "expected a whole number of 32 bits"),
    (
        "xla_gpu_enable_triton_gemm",
        '"yes"',
        "'yes' for xla_gpu_enable_triton_gemm, expected true or",
    ),
    ("xla_gpu_memory_limit_slop_factor", "9.5", "expected a whole number of 32 bits; fix the"),
    (
        "xla_gpu_shape_checks",
        '"ALWAYS"',
        "expected IGNORE, RUNTIME or COMPILE_TIME; fix the value",
    ),
    ("xla_gpu_enable_command_buffer", '"FOO"', "CONDITIONAL, WHILE, CUSTOM_CALL, CUBLASLT"),
    ("xla_gpu_enable_cudnn_fmha", "3", "refuses '3' for xla_gpu_enable_cudnn_fmha (Couldn't"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), CHECKED)
def test_check_refuses(tmp_path: Path, name: str, value: str, sentence: str) -> None:
    path = _write(tmp_path, name, value)
    with pytest.raises(UsageError) as refusal:
        flags.check(profiles.load(path))
    assert str(refusal.value).startswith(f"{path}: jaxlib {flags.jaxlib_version()} ")
    assert sentence in str(refusal.value)


def test_check_names_the_layer(tmp_path: Path) -> None:
    low = _write(tmp_path, "xla_zz", "1", "low")
    (tmp_path / "top.toml").write_text('description = "d"\nextends = ["low"]\n')
    with pytest.raises(UsageError, match=f"^{low}: .* does not know xla_zz"):
        flags.check(profiles.load(tmp_path / "top.toml"))


def test_check_other_jaxlib(tmp_path: Path) -> None:
    path = _write(tmp_path, "xla_gpu_graph_level", "0", more='jaxlib = "<0.7.2"')
    assert flags.check(profiles.load(path)) == ()


@pytest.mark.parametrize(
    ("name", "value", "note"),
    [
        ("xla_gpu_autotune_level", "4", "--xla_gpu_autotune_level=4 is the default already"),
        ("xla_gpu_enable_triton_gemm", "true", "is the default already"),
        ("xla_gpu_enable_cudnn_fmha", "true", "is accepted and changes no option"),
        ("xla_cpu_enable_fast_min_max", "true", "is accepted and changes no option"),
        ("xla_gpu_autotune_max_solutions", "5", "is deprecated in XLA's source"),
    ],
)
def test_check_notes(tmp_path: Path, name: str, value: str, note: str) -> None:
    (found,) = flags.check(profiles.load(_write(tmp_path, name, value)))
    assert note in found


def _write(folder: Path, name: str, value: str, stem: str = "mine", more: str = "") -> Path:
    path = folder / f"{stem}.toml"
    path.write_text(
        f'description = "d"\n[[flag]]\nname = "{name}"\nvalue = {value}\n'
        f'why = "w"\nsource = "https://example.org"\n{more}\n'
    )
    return path


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("--xla_gpu_enable_triton_gemm false", "--xla_gpu_enable_triton_gemm=false"),
        ("--xla_gpu_autotune_level=0 xla_gpu_ftz=true", "--xla_gpu_ftz=true"),
        ("--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1", ""),
        ("--xla_gpu_autotune_level=0 # x --xla_gpu_ftz=true", ""),
    ],
)
def test_stray_remedy_is_taken_by_xla(text: str, word: str) -> None:
    parsed = profiles.parse(text)
    remedy = flags.stray_remedy(parsed)
    if not word:
        assert remedy == f"remove {parsed.stray!r}"
        return
    assert remedy.startswith(f"write {word}: ")
    assert flags.accept(word).ok


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("xla_gpu_autotune_level", "needs a value here, joined by '='"),
        ("xla_gpu_graph_level", "removed after jaxlib 0.6.2; use xla_gpu_enable_command_buffer"),
        ("xla_gpu_enable_triton_softmax_fusion", "removed after jaxlib 0.4.38; drop it"),
        ("xla_gpu_enable_async_all_gather", "removed before 0.4.38; drop it"),
    ],
)
def test_unknown_says_what_became_of_it(name: str, words: str) -> None:
    assert words in flags.unknown(name)
    assert "did you mean" not in flags.unknown(name)
