"""What a shared report must not carry, and what must survive the cleaning."""

from __future__ import annotations

import string
import time
from dataclasses import replace

import pytest
from hypothesis import example, given, strategies as st

from jaxpad.core.results import Fact, GpuFinding, Report, Verdict
from jaxpad.report import redact, to_json
from jaxpad.report.redaction import hide, hide_arguments, names_secret, rule
from test_report_samples import FAILED, PASSED_CPU, SHAPES, TRACEBACK, check, every_shape, reports

NODE = SHAPES["one slow GPU"]

UUID = "1a2b3c4d-5e6f-7081-92a3-b4c5d6e7f809"
clean = rule("ann", "/home/ann", ["ws-12.lab.example", "ws-12"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/ann", "~"),
        ("/home/ann/run/x.py", "~/run/x.py"),
        ("cannot read /home/ann.", "cannot read ~."),
        ("PATH=/home/ann/bin:/usr/bin", "PATH=~/bin:/usr/bin"),
        ("file:///home/ann/x", "file://~/x"),
        ("/home/anna/x", "/home/<user>/x"),
        ("/home/bob/x and /Users/eve", "/home/<user>/x and /Users/<user>"),
        ("/mnt/home/ann/x", "/mnt/home/<user>/x"),
        ("/scratch/ann-runs", "/scratch/<user>-runs"),
        ("owned by ann, not annotated", "owned by <user>, not annotated"),
        ("annual plan of joann", "annual plan of joann"),
        ("ann@ws-12.lab.example: ok", "<user>@<host>: ok"),
        ("ws-12 and ws-123", "<host> and ws-123"),
    ],
)
def test_person(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rootdir: /x, the root comm of rank 0", "rootdir: /x, the root comm of rank 0"),
        ("/root/.cache/jaxpad and /rootfs", "~/.cache/jaxpad and /rootfs"),
        ("root@ws-12", "<user>@ws-12"),
        ("uid=0(root) user=root USER=root", "uid=0(<user>) user=<user> USER=<user>"),
        ("user: root, group: root", "user: <user>, group: root"),
    ],
)
def test_common_name_only_as_a_user(text: str, expected: str) -> None:
    assert rule("root", "/root")(text) == expected


def test_short_name_in_a_path() -> None:
    assert rule("me", "/home/me")("tell me of /data/me/x") == "tell me of /data/<user>/x"


@pytest.mark.parametrize("home", [None, "", "/", "/tmp"])
def test_nobodys_home_stays(home: str | None) -> None:
    assert rule(None, home)("see /tmp/x and /") == "see /tmp/x and /"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"GPU 0: H100 (UUID: GPU-{UUID})", "GPU 0: H100 (UUID: GPU-1a2b<redacted>)"),
        (f"MIG-{UUID} MIG-GPU-{UUID}/7/0", "MIG-1a2b<redacted> MIG-GPU-1a2b<redacted>/7/0"),
        (
            "CUDA_VISIBLE_DEVICES=GPU-8932f937,GPU-6a",
            "CUDA_VISIBLE_DEVICES=GPU-8932<redacted>,GPU-6a",
        ),
        ("GPU-accelerated", "GPU-accelerated"),
        ("    Serial Number        : 1320221015422", "    Serial Number        : <redacted>"),
        ('{"serial": "PC-01-A44"}', '{"serial": "<redacted>"}'),
        ("serial execution, serial: yes", "serial execution, serial: yes"),
    ],
)
def test_hardware(text: str, expected: str) -> None:
    assert hide(text) == expected


SECRET = "hUnter2-Xy/z+42=="


@pytest.mark.parametrize(
    "text",
    [
        f"https://ann:{SECRET}@example.org/x",
        f"git+https://{SECRET.replace('/', '')}@example.org/x",
        f"postgres://u:{SECRET}@db:5432/x?y=z",
        f"KEY={SECRET}",
        f"TOKEN={SECRET} next",
        f"PGPASSWORD={SECRET}",
        f"MYSQL_PWD={SECRET}",
        f"DB_PASS={SECRET}",
        f"SSHPASS={SECRET} ssh n1",
        f"WANDB_API_KEY = {SECRET}",
        f"HF_TOKEN: {SECRET}",
        f"X-Auth-Token: {SECRET}",
        f"Cookie: session={SECRET}; theme=dark",
        f"Set-Cookie: id={SECRET}; Path=/",
        f"https://x.blob.example/c?sv=2024&sig={SECRET}",
        f"https://x.example/c?token={SECRET}&x=1",
        f"AccountName=a;AccountKey={SECRET};EndpointSuffix=core",
        f"SharedAccessSignature={SECRET}",
        f"https://hooks.slack.com/services/T0/B0/{SECRET}",
        f"curl -u ann:{SECRET} https://x",
        f"mysql -h db -p{SECRET} x",
        f"machine api.example login user password {SECRET}",
        f"GITLAB_PAT={SECRET}",
        f"export WANDB_API_KEY={SECRET}",
        f"AWS_SECRET_ACCESS_KEY='{SECRET}'",
        f"HF_TOKEN: '{SECRET}'",
        f"{{'DB_PASSWORD': '{SECRET}'}}",
        f'{{"api_key": "{SECRET}", "x": 1}}',
        f"password = '{SECRET}'",
        f"password: {SECRET}",
        f"--password={SECRET}",
        f"--hub-token {SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"'Authorization': 'Basic {SECRET}'",
        f"curl -H 'bearer {SECRET}'",
        f"https://s3/x?X-Amz-Signature={SECRET}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n(cut off)",
    ],
)
def test_credential(text: str) -> None:
    assert "unter" not in hide(text)
    assert "42" not in hide(text)
    assert "<redacted>" in hide(text)


# In two parts, so that no scanner takes this file for a leak.
SHAPED = [
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "hf_" + "a1B2" * 8,
    "nvapi-" + "a1B2" * 12,
    "glpat-" + "a1B2" * 5,
    "xoxb-" + "1234-" * 4 + "abcd",
    "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxIn0." + "c2lnbmF0dXJl",
]


@pytest.mark.parametrize("key", SHAPED, ids=[key[:4] for key in SHAPED])
def test_key_by_its_shape(key: str) -> None:
    assert hide(f"got {key}, retrying") == "got <redacted>, retrying"


@pytest.mark.parametrize(
    "text",
    [
        "key = jax.random.key(0); key=PRNGKey(0); keys=3",
        "PWD=/scratch/run OLDPWD=/x BYPASS=1",
        "docker run --user 1000:1000 -u 0:0 image",
        "jaxpad launch -p 8888 --session x",
        "the stray token: it cuts XLA_FLAGS short",
        "pass: 8 GPUs; 177 pass, 0 fail",
        "max_tokens=512 tokenizer=bpe",
        "XLA_FLAGS=--xla_gpu_enable_latency_hiding_scheduler=true",
        "the stray token 'foo' cuts XLA_FLAGS short",
        "https://docs.jax.dev/en/latest/errors.html#jax.errors.KeyReuseError",
        "pip install --require-hashes -r requirements/cuda12.txt",
        "Array(2, dtype=int32) at 0x7f00deadbeef",
        TRACEBACK,
    ],
)
def test_everyday_text_stays(text: str) -> None:
    assert hide(text) == text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("WANDB_API_KEY", True),
        ("--hub-token", True),
        ("gpu0.serial", True),
        ("PGPASSWORD", True),
        ("MYSQL_PWD", True),
        ("DB_PASS", True),
        ("PWD", False),
        ("BYPASS", False),
        ("JAX_PLATFORMS", False),
        ("NCCL_SOCKET_IFNAME", False),
        ("jax_compilation_cache_max_size", False),
        ("tokenizer", False),
    ],
)
def test_name_of_a_secret(name: str, secret: bool) -> None:
    assert names_secret(name) is secret


def test_word_after_an_option() -> None:
    command = ("jaxpad", "smoke", "--hub-token", "abc", "-k", "jit")
    assert hide_arguments(command) == ("jaxpad", "smoke", "--hub-token", "<redacted>", "-k", "jit")


LEAKY = replace(
    PASSED_CPU,
    command=("/home/ann/.venv/bin/jaxpad", "--token", "hunter2"),
    environment={"JAX_TOKEN": "hunter2", "JAX_CACHE": "/home/ann/c", "XLA_KEY": ""},
    checks=(replace(FAILED, output=f"ann saw GPU-{UUID} with password=hunter2 in /home/ann"),),
)


def test_every_string_is_cleaned() -> None:
    found = redact(LEAKY, user="ann", home="/home/ann", host_names=["ws-12"])
    everything = str(to_json(found))
    for secret in ("hunter2", UUID, "/home/ann", "'ann", " ann", "ws-12"):
        assert secret not in everything
    assert found.command == ("~/.venv/bin/jaxpad", "--token", "<redacted>")
    assert found.environment["XLA_KEY"] == ""


@every_shape
def test_redacting_keeps_the_verdicts(report: Report) -> None:
    found = redact(report, user="pass", home="/home/pass")
    assert [check.verdict for check in found.checks] == [check.verdict for check in report.checks]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("pid 4711 (/usr/bin/python3, 66.1 GB)", "pid 4711 (<redacted>, 66.1 GB)"),
        ("pid 1 (a), pid 2 (b (c), 1.0 GB)", "pid 1 (<redacted>), pid 2 (<redacted>, 1.0 GB)"),
        ("pid 7 (x) (judged with --idle)", "pid 7 (<redacted>) (judged with --idle)"),
        (
            "pid 7 (x), and 20 % of the memory taken",
            "pid 7 (<redacted>), and 20 % of the memory taken",
        ),
        ("no compute process", "no compute process"),
        ("x16, generation 5 (of 4)", "x16, generation 5 (of 4)"),
    ],
)
def test_process_of_a_finding(seen: str, expected: str) -> None:
    gpu = replace(NODE.gpus[0], findings=(GpuFinding("busy", Verdict.FAIL, seen),))
    once = redact(replace(NODE, gpus=(gpu,)), user=None, home=None)
    assert once.gpus[0].findings[0].seen == expected
    assert redact(once, user=None, home=None) == once


def test_gpus_are_cleaned() -> None:
    gpu = redact(NODE, user=None, home=None).gpus[1]
    assert gpu.uuid == "GPU-5c1a<redacted>"
    assert gpu.readings["identity.serial"] == Fact("<redacted>")
    assert gpu.readings["processes.compute.0.name"] == Fact("<redacted>")
    assert gpu.readings["power.draw_watts"] == Fact("72.3")
    assert gpu.pci_bus_id == "0000:1b:00.0"
    assert gpu.peaks == NODE.gpus[1].peaks


def test_why_there_is_no_serial_stays() -> None:
    told = {"identity.serial": Fact(None, "NVMLError_NotSupported: Not Supported")}
    gpu = replace(NODE.gpus[0], readings=told)
    assert redact(replace(NODE, gpus=(gpu,)), user=None, home=None).gpus[0].readings == told


def test_user_named_like_a_platform() -> None:
    found = redact(PASSED_CPU, user="cpu", home="/home/cpu")
    assert found.platform.found == "cpu"
    assert found.checks == PASSED_CPU.checks


users = st.text(string.ascii_lowercase + string.digits + "-_.", min_size=1, max_size=8)


@given(reports, users)
@example(replace(PASSED_CPU, checks=(check(reason="user=user host<user>@x"),)), "user")
@example(replace(PASSED_CPU, checks=(check(reason="redacted TOKEN=redacted"),)), "redacted")
def test_twice_is_once(report: Report, user: str) -> None:
    once = redact(report, user=user, home=f"/home/{user}", host_names=["ws-12"])
    assert redact(once, user=user, home=f"/home/{user}", host_names=["ws-12"]) == once


words = st.text(string.ascii_letters + string.digits + " /:=@-_.'\"\n", max_size=30)


@given(words, words)
def test_home_never_survives(before: str, after: str) -> None:
    text = f"{before} /home/marguerite/{after}"
    assert "marguerite/" not in rule("marguerite", "/home/marguerite")(text)


@given(
    words, st.text(string.ascii_letters + string.digits + "+/=._-", min_size=8, max_size=40), words
)
def test_secret_survives_in_no_form(before: str, secret: str, after: str) -> None:
    """In none of the forms that docs/report.md names."""
    forms = (
        f"PGPASSWORD={secret}",
        f"HF_TOKEN: {secret}",
        f'{{"api_key": "{secret}"}}',
        f"https://ann:{secret}@example.org/x",
        f"https://example.org/x?sig={secret}",
        f"Authorization: Bearer {secret}",
    )
    for form in forms:
        assert secret not in hide(f"{before}\n{form}\n{after}").replace(before, "").replace(
            after, ""
        )


@given(
    words, st.text(string.ascii_letters + string.digits + "+/=._-", min_size=8, max_size=40), words
)
def test_assigned_secret_never_survives(before: str, secret: str, after: str) -> None:
    assert f"={secret}" not in hide(f"{before} MY_TOKEN={secret} {after}")


@pytest.mark.parametrize(
    "unit",
    [
        *("a_", "A_", "A", "token", "://a:", "eyJaaaaaaaa-", "-", "KEY='", "KEY= ", "/home/"),
        *("login a ", "mysql -", "x-a-", "Cookie:", "?sig", " -u a"),
    ],
)
def test_long_output_is_quick(unit: str) -> None:
    """No pattern may take quadratic time on a program's endless output."""
    start = time.perf_counter()
    clean(unit * (200_000 // len(unit)))
    assert time.perf_counter() - start < 10
