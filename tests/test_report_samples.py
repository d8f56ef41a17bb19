"""Reports of every shape, which the other report tests read, and strategies for more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st

import report_nodes as nodes
from jaxpad.core.results import (
    CheckResult,
    Device,
    EffectiveFlag,
    Fact,
    Gpu,
    GpuFinding,
    Judgement,
    Measurement,
    Platform,
    Rate,
    Report,
    Verdict,
    XlaFlags,
)
from jaxpad.nvml import Trace

FILES = "arrays debugging devices environment jit lax profile pytrees static throughput typing"
CPU = Platform(
    requested="auto",
    expected="cpu",
    found="cpu",
    why="this machine shows no NVIDIA GPU",
    devices=tuple(Device(number, "cpu", "cpu") for number in range(8)),
)
GPU = Platform(
    requested="auto",
    expected="gpu",
    found="gpu",
    why="this machine shows a GPU",
    evidence=("device node /dev/nvidia0", "NVML counts 8 GPU(s)"),
    devices=tuple(Device(number, "gpu", "NVIDIA H100 80GB HBM3") for number in range(8)),
)
FLAGS = XlaFlags(
    text="--xla_gpu_enable_latency_hiding_scheduler=true --xla_dump_to=/tmp/dump",
    flags=(
        EffectiveFlag("xla_gpu_enable_latency_hiding_scheduler", "true", "profile base"),
        EffectiveFlag("xla_dump_to", "/tmp/dump", "XLA_FLAGS"),
    ),
)
GEMM = Measurement("gemm float32 4096", 812.345, "GFLOP/s", 3.1, "at least 500", "spec sheet, p. 3")
COPY = Measurement("copy 1 GiB", 12345.6, "MB/s", 120.0)
TRACEBACK = """\
def test_new_shape_recompiles():
    \"\"\"A new shape compiles anew, a new value does not.\"\"\"
>   assert compiles == 1
E   assert 2 == 1

smoke_tests/test_jit.py:41: AssertionError
---- Captured stdout ----
x = Array([0., 1.], dtype=float32)"""


def check(
    name: str = "test_holds", verdict: Verdict = Verdict.PASS, **fields: object
) -> CheckResult:
    """A check of test_jit.py unless the fields say otherwise."""
    usual = CheckResult(
        "test_jit.py", name, f"{name[5:]} as JAX documents it?", verdict, seconds=0.4
    )
    return replace(usual, **fields)  # type: ignore[arg-type]


def suite(count: int = 63) -> tuple[CheckResult, ...]:
    """As many passing checks as the smoke suite has, spread over its files."""
    files = FILES.split()
    checks = [
        check(f"test_question_{at}", file=f"test_{files[at * len(files) // count]}.py")
        for at in range(count - 1)
    ]
    rates = check("test_rates", file="test_throughput.py", measurements=(GEMM, COPY))
    return tuple(sorted([*checks, rates], key=lambda result: result.file))


FAILED = check(
    "test_new_shape_recompiles",
    Verdict.FAIL,
    reason="compiled 2 times, expected 1",
    remedy="unset JAX_DISABLE_JIT:\n  unset JAX_DISABLE_JIT",
    measurements=(Measurement("compiles", 2, gate="at most 1", source="docs/smoke.md"),),
    output=TRACEBACK,
)
OPEN = check(
    "test_cache_hit",
    Verdict.INCONCLUSIVE,
    file="test_environment.py",
    reason="the cache folder is full",
    remedy="free 1 MiB in ~/.cache/jaxpad",
)
NOT_HERE = check(
    "test_peer_copy", Verdict.NOT_APPLICABLE, file="test_devices.py", reason="no GPU here"
)
PASSED_CPU = Report(
    jaxpad="0.1.0",
    started="2026-05-04T12:00:00+00:00",
    seconds=38.2,
    command=("jaxpad", "smoke", "--profile", "base"),
    profile="base",
    node="ws-12",
    platform=CPU,
    xla_flags=FLAGS,
    versions={"jax": Fact("0.10.2"), "driver": Fact(None, "no NVIDIA driver on this machine")},
    host={"system": Fact("Debian GNU/Linux 12"), "cpus": Fact("2")},
    environment={"XLA_FLAGS": FLAGS.text},
    checks=(*suite(), NOT_HERE),
)
PASSED_GPU = replace(PASSED_CPU, platform=GPU, checks=suite())
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> ]]> $json \"'& [red]x[/]"
NASTY = f"{HOSTILE}\x00\x1b[31mred\x1b[0m\x1b]0;title\x07\udcff\ufffe\r\u202eevil"

HEALTHY = nodes.Node()
SLOW = nodes.Node(slow=5)
LOSING = nodes.Node(lost=3)
HOSTILE_NODE = nodes.Node(gpus=2, slow=1, name=NASTY, words=HOSTILE)
TRACES: dict[str, Trace] = {
    "healthy node": nodes.trace(HEALTHY),
    "one slow GPU": nodes.trace(SLOW),
    "lost GPU": nodes.trace(LOSING, gaps=True),
    "hostile node": nodes.trace(HOSTILE_NODE, hz=1.0),
}


def node(made: nodes.Node, *wrong: CheckResult) -> Report:
    """The report of a GPU node; its failed checks in the place of throughput_gates' last ones."""
    rates = nodes.rates(made)
    checks = nodes.checks(made)
    return replace(
        PASSED_GPU,
        seconds=made.seconds,
        versions={"jax": Fact("0.12.0"), "driver": Fact("580.95.05"), "CUDA": Fact("13.0")},
        checks=(*checks[: len(checks) - len(wrong)], *wrong),
        gpus=nodes.gpus(made),
        rates=rates,
        judgements=nodes.judgements(made, rates),
    )


TOO_SLOW = check(
    "test_gemm_reaches_its_gate",
    Verdict.FAIL,
    file="test_throughput_gates.py",
    question="Does every GPU multiply matrices as fast as its model should?",
    reason="GPU 5: gemm bf16 386 TFLOP/s, gate 593; held down by heat (sw thermal slowdown)",
    remedy="look at the fans and the air of GPU 5, then run again",
    seconds=0.3,
    began=596.0,
)
GONE = check(
    "test_every_gpu_stays",
    Verdict.FAIL,
    file="test_throughput_gates.py",
    question="Is every GPU still there after the load?",
    reason="GPU 3 stopped answering at 3:51: NVMLError_GpuIsLost",
    remedy="drain the node and reset the GPU (nvidia-smi -r) or reboot",
    seconds=0.3,
    began=596.0,
)
CPU_RATES = tuple(
    Rate("gemm", "float32", at, "cpu", together, 21.4 - at - 12 * together, 0.4, "GFLOP/s", 9, 3, 4)
    for at in range(4)
    for together in (False, True)
)


def not_asked(result: CheckResult) -> CheckResult:
    reason, remedy = "not run: SIGINT came first", "run again"
    open_ = replace(result, verdict=Verdict.INCONCLUSIVE, seconds=0.0, measurements=())
    return replace(open_, reason=reason, remedy=remedy)


SHAPES: dict[str, Report] = {
    "passed on the GPU": PASSED_GPU,
    "passed on the CPU": PASSED_CPU,
    "failed": replace(PASSED_CPU, checks=(*suite(), FAILED, OPEN, NOT_HERE)),
    "inconclusive": replace(PASSED_GPU, checks=(*suite(), OPEN)),
    "interrupted": replace(
        PASSED_CPU, interrupted="SIGINT", checks=(*suite()[:20], *map(not_asked, suite()[20:]))
    ),
    "failed and interrupted": replace(PASSED_CPU, interrupted="SIGTERM", checks=(FAILED, OPEN)),
    "nothing applies": replace(PASSED_CPU, checks=(NOT_HERE,)),
    "fell back": replace(PASSED_CPU, platform=replace(CPU, expected="gpu"), checks=suite()),
    "JAX did not start": replace(
        PASSED_CPU,
        platform=Platform("auto", "unknown", None, "the run ended before this was looked at"),
        checks=(replace(OPEN, output="Fatal Python error: Segmentation fault"),),
    ),
    "flags cut short": replace(PASSED_GPU, xla_flags=replace(FLAGS, dropped="stray --xla_x=true")),
    "empty": Report("0.1.0", "", 0.0, (), None, "", CPU, XlaFlags("")),
    "hostile": replace(
        PASSED_CPU,
        node=NASTY,
        profile=NASTY,
        command=("jaxpad", HOSTILE),
        platform=replace(CPU, why=NASTY, evidence=(NASTY,), devices=(Device(0, NASTY, NASTY),)),
        xla_flags=XlaFlags(NASTY, (EffectiveFlag(NASTY, NASTY, NASTY),), NASTY),
        versions={NASTY: Fact(NASTY), "x": Fact(None, NASTY)},
        environment={NASTY: NASTY},
        checks=(
            check(NASTY, Verdict.FAIL, file=NASTY, question=NASTY, reason=NASTY, output=NASTY),
            check(NASTY, Verdict.INCONCLUSIVE, remedy=NASTY),
            check(measurements=(Measurement(NASTY, NASTY, NASTY, 1.0, NASTY, NASTY),)),
        ),
        interrupted=NASTY,
        gpus=(
            Gpu(
                0,
                NASTY,
                NASTY,
                NASTY,
                NASTY,
                (0,),
                {NASTY: 1.0},
                {NASTY: Fact(NASTY)},
                (GpuFinding(NASTY, Verdict.FAIL, NASTY, NASTY, NASTY),),
            ),
        ),
        judgements=(
            Judgement(
                Rate(NASTY, NASTY, 0, NASTY, True, 1.0, 0.0, NASTY, 1, 0.0, 1.0),
                0,
                Verdict.FAIL,
                2.0,
                1.5,
                NASTY,
                NASTY,
                NASTY,
            ),
        ),
        overrides=(NASTY,),
    ),
    "healthy node": node(HEALTHY),
    "one slow GPU": node(SLOW, TOO_SLOW),
    "lost GPU": node(LOSING, GONE),
    "hostile node": node(HOSTILE_NODE, TOO_SLOW),
    "rates of a CPU": replace(PASSED_CPU, rates=CPU_RATES),
    "NaN from a GPU": replace(
        PASSED_GPU,
        rates=(
            Rate(
                "gemm",
                "bf16",
                0,
                "gpu",
                False,
                float("nan"),
                float("nan"),
                "TFLOP/s",
                3,
                1.0,
                2.0,
                0,
                2730.0,
            ),
        ),
    ),
    "odd numbers": replace(
        PASSED_CPU,
        checks=(
            check(measurements=(Measurement("rate", float("nan"), "GB/s", float("inf")),)),
            check(measurements=(Measurement("rate", -0.00001234, "GB/s"), Measurement("n", 7))),
        ),
    ),
}


def trace_of(report: Report) -> Trace | None:
    """The trace that goes with a report of SHAPES."""
    names = (name for name, shape in SHAPES.items() if shape is report)
    return TRACES.get(next(names, ""))


every_shape = pytest.mark.parametrize("report", SHAPES.values(), ids=SHAPES.keys())

texts = st.text(max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
seconds = st.floats(0, 1e6)
measurements = st.builds(
    Measurement,
    texts,
    numbers | texts | st.integers(),
    texts,
    st.none() | numbers,
    st.none() | texts,
    st.none() | texts,
)
checks = st.builds(
    CheckResult,
    texts,
    texts,
    texts,
    st.sampled_from(Verdict),
    texts,
    texts,
    seconds,
    st.lists(measurements, max_size=2).map(tuple),
    texts,
    st.none() | seconds,
)
rates = st.builds(
    Rate,
    texts,
    texts,
    st.none() | st.integers(0, 3),
    st.sampled_from(["gpu", "cpu"]),
    st.booleans(),
    numbers,
    numbers,
    st.sampled_from(["TFLOP/s", "GB/s"]),
    st.integers(0, 9),
    seconds,
    seconds,
    st.none() | st.integers(0, 3),
    st.none() | numbers,
)
judgements = st.builds(
    Judgement,
    rates,
    st.none() | st.integers(0, 3),
    st.sampled_from(Verdict),
    st.none() | numbers,
    st.none() | numbers,
    texts,
    texts,
    texts,
)
facts = st.dictionaries(texts, st.builds(Fact, st.none() | texts, st.none() | texts), max_size=3)
findings = st.builds(GpuFinding, texts, st.sampled_from(Verdict), texts, texts, texts)
gpus = st.builds(
    Gpu,
    st.integers(0, 3),
    texts,
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
    st.lists(st.integers(0, 3), max_size=2).map(tuple),
    st.dictionaries(st.sampled_from([*nodes.PEAKS]), st.floats(0, 1e6), max_size=3),
    facts,
    st.lists(findings, max_size=2).map(tuple),
)
reports = st.builds(
    Report,
    jaxpad=texts,
    started=texts,
    seconds=seconds,
    command=st.lists(texts, max_size=3).map(tuple),
    profile=st.none() | texts,
    node=texts,
    platform=st.sampled_from([CPU, GPU, SHAPES["JAX did not start"].platform]),
    xla_flags=st.just(FLAGS),
    versions=facts,
    host=facts,
    environment=st.dictionaries(texts, texts, max_size=3),
    checks=st.lists(checks, max_size=4).map(tuple),
    gpus=st.lists(gpus, max_size=2).map(tuple),
    rates=st.lists(rates, max_size=2).map(tuple),
    judgements=st.lists(judgements, max_size=2).map(tuple),
    overrides=st.lists(texts, max_size=2).map(tuple),
    interrupted=st.none() | texts,
)


def test_samples_have_every_verdict() -> None:
    assert {report.verdict for report in SHAPES.values()} == set(Verdict)
