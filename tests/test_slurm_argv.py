"""What Slurm is told, and what is made of its answers: no Slurm is needed for it."""

from __future__ import annotations

import json
import math
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from jaxpad.cli import smoke as cli_smoke
from jaxpad.clusters import slurm_commands as words, slurm_plan
from jaxpad.clusters.request import Cluster, seconds
from jaxpad.clusters.slurm_commands import (
    Inside,
    Job,
    Step,
    apptainer_argv,
    enroot,
    image_file,
    pyxis_options,
    variables,
)
from jaxpad.clusters.slurm_follow import (
    COMPLETING_S,
    Ending,
    Followed,
    Patience,
    Seen,
    absence,
    clear,
    judge,
    landed,
    parse as jobs,
    pause,
    standing,
)
from jaxpad.clusters.slurm_plan import Choice, Node, Plan, Suite, choose, inside, parse, suite_words
from jaxpad.containers.engine import Mount
from jaxpad.core.results import UsageError, Verdict
from jaxpad.smoke import local

OUT = Path("/shared/report")
ANY = Cluster()
SMOKE = ("jaxpad", "smoke", "-k", "a or b")
JOB = Job("jaxpad-1", ("n0",), SMOKE, OUT / "a%j.log", OUT, "00:15:00")
EIGHT = tuple(Node(f"n{i}", "idle", 8) for i in range(2))


def after(argv: list[str], option: str) -> list[str]:
    """The values of `--option=value`."""
    return [word.partition("=")[2] for word in argv if word.startswith(f"{option}=")]


def planned(wanted: Cluster = ANY, environ: dict[str, str] | None = None, **of: object) -> Plan:
    suite = replace(Suite("gpu", 180.0), **of)  # type: ignore[arg-type]
    box = inside(wanted, suite, OUT, environ or {})
    return Plan("jaxpad-1", wanted, suite, OUT, box, environ or {})


def wrapped(job: Job) -> list[str]:
    """The command that the batch script becomes."""
    argv = words.sbatch_argv(job)
    assert argv[-2] == "--wrap"
    exec_, *command = shlex.split(argv[-1])
    assert exec_ == "exec"
    return command


def test_sbatch() -> None:
    argv = words.sbatch_argv(replace(JOB, partition="gpu", account="us", reservation="maint"))
    assert argv[:3] == ["sbatch", "--parsable", "--no-requeue"]
    assert "--exclusive" in argv
    assert after(argv, "--nodelist") == ["n0"]
    assert [after(argv, f"--{name}") for name in ("partition", "account", "reservation")] == [
        ["gpu"],
        ["us"],
        ["maint"],
    ]
    assert after(argv, "--output") == [f"{OUT}/a%%j.log"], "sbatch would put the job's id there"
    assert not after(argv, "--gpus-per-node")
    assert wrapped(JOB) == ["jaxpad", "smoke", "-k", "a or b"]


def test_more_options_come_last() -> None:
    argv = words.sbatch_argv(replace(JOB, extra=("--qos=high", "--comment", "two words")))
    assert argv[-5:-2] == ["--qos=high", "--comment", "two words"]


def test_srun() -> None:
    argv = words.srun_argv(Step(2, 8, 8, ("true",), ("--container-image=x",)))
    assert argv[0] == "srun"
    assert "--kill-on-bad-exit=1" in argv
    assert after(argv, "--gpus-per-node") == ["8"], "every task sees all GPUs of its node"
    assert argv[-2:] == ["--container-image=x", "true"]


def test_questions() -> None:
    assert after(words.squeue_argv("jaxpad-1"), "--name") == ["jaxpad-1"]
    assert words.scancel_argv("jaxpad-1") == ["scancel", "--quiet", "--name=jaxpad-1"]
    assert words.scancel_argv("jaxpad-1", ["7"])[-1] == "7"
    assert after(words.sinfo_argv("p", "n[0-1]"), "--nodes") == ["n[0-1]"]
    assert words.drain_argv("n0", "a b")[-1] == "Reason=a b"


@pytest.mark.parametrize(
    ("image", "written"),
    [
        ("nvcr.io/nvidia/jax:25.01", "nvcr.io#nvidia/jax:25.01"),
        ("docker://ghcr.io/nvidia/jax:jax", "ghcr.io#nvidia/jax:jax"),
        ("localhost:5000/jaxpad", "localhost:5000#jaxpad"),
        ("user/jaxpad:base", "user/jaxpad:base"),
        ("debian", "debian"),
        ("me@nvcr.io#nvidia/jax:1", "me@nvcr.io#nvidia/jax:1"),
    ],
)
def test_enroot_reference(image: str, written: str) -> None:
    assert enroot(image) == written


def test_image_files(tmp_path: Path) -> None:
    assert image_file("nvcr.io/nvidia/jax:25.01") is None
    assert image_file("/images/jax.sqsh") == Path("/images/jax.sqsh")
    assert image_file("jax.sif") == Path("jax.sif").resolve()


def test_variables() -> None:
    environ = {"XLA_FLAGS": "--a", "NCCL_DEBUG": "INFO", "HOME": "/root", "UCX_TLS": "tcp"}
    assert variables(environ) == ("NCCL_DEBUG", "XLA_FLAGS")
    assert variables(environ, ["UCX_TLS", "LIBRARY"]) == ("NCCL_DEBUG", "UCX_TLS", "XLA_FLAGS")
    assert not variables({"JAXPAD_STARTED_AS": "a launcher of this machine"})


def test_pyxis() -> None:
    box = Inside("pyxis", "nvcr.io/nvidia/jax:1", (Mount(OUT, str(OUT)),), ("NCCL_DEBUG",))
    assert pyxis_options(box) == [
        "--container-image=nvcr.io#nvidia/jax:1",
        "--no-container-mount-home",
        f"--container-mounts={OUT}:{OUT}",
        "--container-env=NCCL_DEBUG",
    ]
    with pytest.raises(UsageError, match="colon or a comma"):
        pyxis_options(replace(box, mounts=(Mount(Path("/a,b"), "/a,b"),)))


def test_pyxis_jobs() -> None:
    """Both stages: what the caller set wins over the image, the profile is the image's."""
    wanted = Cluster(runtime="pyxis", image="/shared/jax.sqsh")
    environ = {"XLA_FLAGS": "--xla_dump_to=/x", "NCCL_DEBUG": "INFO"}
    with pytest.raises(UsageError, match="no such file"):
        planned(wanted, environ)
    wanted = replace(wanted, image="nvcr.io/nvidia/jax:1")
    plan = planned(wanted, environ, profile="fsdp-hopper")
    alone, together = wrapped(plan.node_job(EIGHT[0])), wrapped(plan.multi_job(EIGHT))
    for argv in (alone, together):
        assert argv[0] == "srun"
        assert after(argv, "--container-env") == ["NCCL_DEBUG,XLA_FLAGS"]
    assert alone[alone.index("jaxpad") :][:2] == ["jaxpad", "smoke"]
    assert alone[-2:] == ["--profile", "fsdp-hopper"]
    start = together.index("with-profile")
    assert together[start : start + 5] == ["with-profile", "fsdp-hopper", "--", "jaxpad", "multi"]


def test_apptainer(tmp_path: Path) -> None:
    file = tmp_path / "jax.sif"
    file.touch()
    box = Inside("apptainer", str(file), (Mount(OUT, str(OUT)),))
    argv = apptainer_argv(box, ["jaxpad", "smoke"], gpus=True)
    assert argv[:3] == ["apptainer", "exec", "--nv"]
    assert argv[-3:] == [str(file), "jaxpad", "smoke"]
    assert "--nv" not in apptainer_argv(box, ["true"], gpus=False)
    assert (
        apptainer_argv(replace(box, image="user/x"), ["true"], gpus=True)[-2] == "docker://user/x"
    )
    plan = planned(Cluster(runtime="apptainer", image=str(file)))
    assert wrapped(plan.node_job(EIGHT[0]))[0] == "apptainer"
    assert wrapped(plan.multi_job(EIGHT))[0] == "srun"


def test_profile_without_container() -> None:
    plan = planned(environ={"XLA_FLAGS": "--xla_dump_to=/x"}, profile="base")
    argv = wrapped(plan.multi_job(EIGHT))
    settings = argv[argv.index("env") + 1 : argv.index("-m") - 1]
    assert "JAXPAD_PROFILE=base" in settings
    flags = next(word for word in settings if word.startswith("XLA_FLAGS="))
    assert flags.endswith("--xla_dump_to=/x"), "the caller's own come last"


@pytest.mark.parametrize(
    ("wanted", "tasks", "devices"),
    [
        (Cluster(), 8, "1"),
        (Cluster(processes="node"), 1, "8"),
        (Cluster(gpus_per_node=2), 2, "1"),
        (Cluster(gpus_per_node=2, processes="node"), 1, "2"),
    ],
)
def test_processes(wanted: Cluster, tasks: int, devices: str) -> None:
    job = planned(wanted).multi_job(EIGHT)
    argv = wrapped(job)
    assert after(argv, "--ntasks-per-node") == [str(tasks)] == [str(job.tasks_per_node)]
    assert argv[argv.index("--expect-processes") + 1] == str(2 * tasks)
    assert argv[argv.index("--expect-devices") + 1] == devices
    assert planned(wanted).ranks(EIGHT) == ("n0",) * tasks + ("n1",) * tasks


def test_processes_on_the_cpu() -> None:
    plan = planned(Cluster(gpus_per_node=0, pairwise=True), platform="cpu")
    argv = wrapped(plan.multi_job(EIGHT))
    assert after(argv, "--ntasks-per-node") == ["1"]
    assert "--expect-devices" not in argv
    assert not [word for word in argv if "gpus" in word]
    assert argv[-1] == "--pairwise"


def test_unlike_nodes_use_what_all_have() -> None:
    nodes = (Node("a", "idle", 8), Node("b", "idle", 4))
    assert planned().gpus(nodes) == 4
    assert after(words.sbatch_argv(planned().node_job(nodes[0])), "--gpus-per-node") == ["8"]


def test_suite_words() -> None:
    full = Suite("gpu", 60.0, "base", "jit", True, False, Path("/t.toml"), expect=8)
    told = shlex.join(suite_words(full, OUT))
    assert told == (
        f"smoke --platform gpu --limit 60 --out {OUT} --profile base -k jit "
        "--strict --expect 8 --no-redact --thresholds /t.toml"
    )


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Cluster(runtime="pyxis"), "needs --image"),
        (Cluster(image="x"), "add --runtime"),
        (Cluster(runtime="apptainer", image="./none.sif"), "no such file"),
    ],
)
def test_refused(wanted: Cluster, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        planned(wanted)


SINFO = """\
n0|idle|gpu:2|main*|none
n1|mixed|gpu:h100:4(S:0-1),gpu:a100:2,shard:8|main*|none
n2|down*|gpu:2|main*|Not responding
n3|drained|(null)|main*|a | in the reason
n3|drained|(null)|spare|a | in the reason
n4|idle|gpu:2|spare|none
"""


def test_nodes_of_sinfo() -> None:
    nodes = {node.name: node for node in parse(SINFO)}
    assert list(nodes) == ["n0", "n1", "n2", "n3"], "those of the default partition, each once"
    assert [node.gpus for node in nodes.values()] == [2, 6, 2, 0]
    assert nodes["n1"].unfit is None
    assert nodes["n2"].unfit == "down, and it does not answer: Not responding"
    assert nodes["n3"].unfit == "drained: a | in the reason"
    assert len(parse(SINFO, "any")) == 5
    assert not parse("")


@pytest.mark.parametrize("state", ["idle", "idle~", "mixed", "allocated", "completing", "planned"])
def test_fit(state: str) -> None:
    assert Node("n", state).unfit is None


@pytest.mark.parametrize("state", ["down", "idle*", "draining", "drained$", "fail", "unknown"])
def test_unfit(state: str) -> None:
    assert Node("n", state).unfit


def chosen(
    wanted: Cluster = ANY, within: tuple[str, ...] = (), without: tuple[str, ...] = ()
) -> Choice:
    return choose(parse(SINFO), wanted, within, without)


def test_choice() -> None:
    every = chosen()
    assert [node.name for node in every.tested] == ["n0", "n1"]
    assert list(every.not_tested) == ["n2", "n3"]
    assert every.names == ("n0", "n1", "n2", "n3")
    assert chosen(Cluster(nodes=1)).names == ("n0",), "an idle one first"
    assert chosen(Cluster(nodes=3)).names == ("n0", "n1", "n2"), "an unfit one to make up the count"
    assert chosen(without=("n0",)).names == ("n1", "n2", "n3")
    assert chosen(within=("n1", "n2")).names == ("n1", "n2")
    assert chosen(Cluster(nodes=1), within=("n3", "n1")).names == ("n1",)


@pytest.mark.parametrize(
    ("wanted", "within", "without"),
    [
        (Cluster(nodes=5), (), ()),
        (Cluster(), ("n9",), ()),
        (Cluster(), (), ("n0", "n1", "n2", "n3")),
        (Cluster(reservation="r"), ("n9",), ()),
    ],
)
def test_no_such_nodes(wanted: Cluster, within: tuple[str, ...], without: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="see sinfo"):
        chosen(wanted, within, without)


PATIENCE = Patience(wait_s=60, run_s=600)


def test_jobs_of_squeue() -> None:
    assert jobs("7|PENDING|Resources\n8|RUNNING|None\n") == {
        "7": Seen("PENDING", "Resources"),
        "8": Seen("RUNNING", "None"),
    }


@pytest.mark.parametrize(
    ("phase", "state", "for_s", "ending"),
    [
        ("waiting", "PENDING", 30, None),
        ("waiting", "PENDING", 61, Ending("PENDING", False, "still pending after 60 s (Priority)")),
        ("waiting", "RUNNING", 61, None),
        ("running", "RUNNING", 599, None),
        ("running", "RUNNING", 601, Ending("RUNNING", True, "it ran past its time limit")),
        ("running", "COMPLETING", 601, None),
        (
            "completing",
            "COMPLETING",
            COMPLETING_S + 1,
            Ending("COMPLETING", True, "Slurm cannot end it"),
        ),
        ("running", "COMPLETED", 1, Ending("COMPLETED", True, "Priority")),
        ("running", "TIMEOUT", 1, Ending("TIMEOUT", True, "Priority")),
    ],
)
def test_judged_job(phase: str, state: str, for_s: float, ending: Ending | None) -> None:
    one = Followed("7", since=100.0, phase=phase)
    assert judge(one, Seen(state, "Priority"), 100.0 + for_s, PATIENCE) == ending


def test_a_job_that_squeue_forgot() -> None:
    assert judge(Followed("7", 0.0), None, 1.0, PATIENCE) == Ending("ENDED", started=True)


def test_questions_spare_slurmctld() -> None:
    assert pause(0) == 0
    assert pause(2) < 1
    assert pause(2000) == 10


def test_standing() -> None:
    pending = Followed("8", 0.0, seen=Seen("PENDING", "Resources"))
    running = {f"n{i}": Followed("7", 0.0, phase="running") for i in range(5)}
    told = standing({**running, "n7": pending})
    assert told == "waiting: 5 running (n0, n1, n2, and 2 more), 1 pending (n7: Resources)"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("10", 600),
        ("10:30", 630),
        ("0:30", 30),
        ("01:00:00", 3600),
        ("1-0", 86400),
        ("2-03", 183600),
        ("1-00:30", 88200),
        ("1-00:00:01", 86401),
        ("1-2:3:4", 93784),
        ("0", math.inf),
    ],
)
def test_time(text: str, limit: float) -> None:
    assert seconds(text) == limit


def test_landed(tmp_path: Path) -> None:
    assert landed(tmp_path) is None
    assert landed(tmp_path / "nowhere") is None
    file = tmp_path / "smoke.json"
    for text in ("", "[1]", '{"verdict": "fine"}', "[" * 100_000):
        file.write_text(text)
        assert landed(tmp_path) is Verdict.INCONCLUSIVE
    file.write_text(json.dumps({"verdict": "pass"}))
    assert landed(tmp_path) is Verdict.PASS


def test_earlier_reports_are_cleared(tmp_path: Path) -> None:
    for name in ("n0", "n5", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "smoke.json").touch()
    (tmp_path / "n5/mine.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    clear(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "link",
        "n5",
        "n5/mine.txt",
    ]


def test_absence(tmp_path: Path) -> None:
    log = tmp_path / "n0.log"
    assert "file system that this machine and all nodes share" in absence(tmp_path, log, "FAILED")
    log.write_text("one\nNo module named jaxpad\n\n")
    assert absence(tmp_path, log, "FAILED").endswith("is: No module named jaxpad")


def test_pasteable(tmp_path: Path) -> None:
    """Every line of a dry run is one command in a shell, word for word."""
    plan = planned(select='it\'s "so" or $HOME')
    for line in slurm_plan.commands(plan, Choice(EIGHT, {})):
        assert "\n" not in line
        shell = f'sbatch() {{ printf "%s\\0" sbatch "$@"; }}; sinfo() {{ :; }}; {line}'
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
        assert done.stdout.split("\0")[:-1] == (shlex.split(line) if done.stdout else [])


def test_no_slurm_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="sbatch is not on PATH"):
        cli_smoke.smoke_slurm(local.Options(out=tmp_path / "out"), Cluster())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("requested", "gpus", "platform"),
    [("auto", None, "gpu"), ("auto", 8, "gpu"), ("auto", 0, "cpu"), ("gpu", 0, "gpu")],
)
def test_platform(requested: str, gpus: int | None, platform: str) -> None:
    options = local.Options(platform=requested, out=OUT)
    assert cli_smoke.planned(options, Cluster(gpus_per_node=gpus)).suite.platform == platform


def test_paths_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes start in another folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('description = "x"\nextends = ["base"]\n')
    (tmp_path / "bounds.toml").write_text("xid_hours_most = 0\n")
    options = local.Options(
        out=Path("out"), profile="mine.toml", thresholds=Path("bounds.toml"), select="jit"
    )
    plan = cli_smoke.planned(options, Cluster())
    assert plan.out == tmp_path / "out"
    assert plan.suite.profile == str(tmp_path / "mine.toml")
    assert plan.suite.thresholds == tmp_path / "bounds.toml"


def test_words_of_others(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--pull-secret is for --on kubernetes"):
        cli_smoke.planned(local.Options(), Cluster(pull_secret="x"))


def test_expected_is_asked_for() -> None:
    """A job of four GPUs sees no eight, whatever the node has."""
    options = local.Options(expect=8)
    with pytest.raises(UsageError, match="ask for 8 of each node"):
        cli_smoke.planned(options, Cluster(gpus_per_node=4))
    assert cli_smoke.planned(options, Cluster(gpus_per_node=8)).suite.expect == 8


@pytest.mark.parametrize(
    "options",
    [
        local.Options(limit=0),
        local.Options(profile="no-such-profile"),
        local.Options(select="no_such_check"),
        local.Options(thresholds=Path("/nowhere.toml")),
        local.Options(platform="tpu"),
    ],
)
def test_mistakes_are_told_first(options: local.Options) -> None:
    with pytest.raises(UsageError):
        cli_smoke.planned(options, Cluster())
