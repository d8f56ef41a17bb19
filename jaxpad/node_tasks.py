"""The tasks of one machine: `doctor`, `health`, `nvml.record`, and `pod` for a cluster's."""

from __future__ import annotations

from invoke import Context

from jaxpad.tasking import JSON, command, perform, remainder


@command(
    help={
        "image": "an image whose CUDA the driver must be new enough for",
        "engine": "docker or podman; default: both",
        "json": JSON,
    }
)
def doctor(_c: Context, image: str = "", engine: str = "", json: bool = False) -> None:
    """Say what this host lacks for GPU containers, and the remedy."""
    perform("doctor", locals())


@command(
    help={
        "expect": "how many GPUs there should be; fewer fail",
        "idle": "nobody should be at work: judge processes and memory in use, too",
        "thresholds": "a TOML file that changes bounds, one `name = number` a line",
        "textfile": "also write metrics into this .prom file, for node_exporter",
        "nagios": "print one line, and exit with Nagios's codes",
        "json": JSON,
        "no-redact": "keep UUIDs, process names and paths",
        "hook": "as Slurm calls it: healthcheck, prolog or epilog; fails only for a fault seen",
        "drain": "with --hook healthcheck: drain the node for a fault that was seen",
    }
)
def health(
    _c: Context,
    expect: str = "",
    idle: bool = False,
    thresholds: str = "",
    textfile: str = "",
    nagios: bool = False,
    json: bool = False,
    no_redact: bool = False,
    hook: str = "",
    drain: bool = False,
) -> None:
    """Say in seconds whether this node's GPUs are fit, without load."""
    perform("health_command", locals())


@command(
    help={"out": "the file to write", "json": "print it as JSON on stdout, write nothing"},
    name="record",
)
def nvml_record(_c: Context, out: str = "nvml-recording.toml", json: bool = False) -> None:
    """Write down what NVML answers here, without names and serials, for tests to play back."""
    perform("nvml_record", locals())


@command(
    help={
        "seconds": "ask the command to end after this time; its report still comes",
        "bounds": "the content of the command's --thresholds file",
        "read": "run nothing: print what the log of a pod on stdin holds",
    }
)
def pod(_c: Context, seconds: str = "", bounds: str = "", read: bool = False) -> None:
    """Run the jaxpad command behind `--`; its output comes out of a pod's log whole."""
    perform("pod_command", locals(), command=remainder())
