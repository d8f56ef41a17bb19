"""The commands: what each does, takes and needs, declared once.

`COMMANDS` is the table that `jaxpad --help` prints; it imports nothing, so that help comes at
once. `main` and `tasks` make the `jaxpad` command and the invoke tasks from it.
"""

USE, CLUSTER, MAINTAIN = "use", "run a cluster", "maintain"
GROUPS = {
    USE: "prove this machine, tune and look",
    CLUSTER: "many nodes, schedulers and monitoring",
    MAINTAIN: "in a checkout of jaxpad",
}


class Command:
    """One command: its name, group and summary; `does` and `options` as `module:name`.

    `does` is a function of the options that returns the exit code. `extra` is what must be
    installed beside the base, `unless` the options with which it need not be, since another
    Python computes then; `example` is a line that can be typed.
    """

    __slots__ = ("does", "example", "extra", "group", "name", "options", "summary", "unless")

    def __init__(
        self,
        name: str,
        group: str,
        summary: str,
        does: str,
        options: str,
        example: str = "",
        extra: str = "",
        unless: tuple[str, ...] = (),
    ) -> None:
        self.name, self.group, self.summary = name, group, summary
        self.does, self.options, self.example, self.extra = does, options, example, extra
        self.unless = unless


_MACHINE, _PROFILE = "jaxpad.commands.machine:", "jaxpad.commands.profile:"

COMMANDS = (
    Command(
        "smoke",
        USE,
        "Prove the JAX environment on this machine and write a report.",
        "jaxpad.cli.smoke:smoke_command",
        f"{_MACHINE}SmokeOptions",
        "jaxpad smoke --platform gpu",
        "smoke",
        ("on", "image", "gpus"),
    ),
    Command(
        "health",
        USE,
        "Say in seconds whether this node's GPUs are fit, without load.",
        "jaxpad.cli.health:health_command",
        f"{_MACHINE}HealthOptions",
        "jaxpad health --expect 8",
    ),
    Command(
        "doctor",
        USE,
        "Say what this host lacks for GPU containers, and the remedy.",
        "jaxpad.doctor:doctor",
        f"{_MACHINE}DoctorOptions",
        "jaxpad doctor",
    ),
    Command(
        "build",
        USE,
        "Build the container image.",
        "jaxpad.containers.build:build_command",
        f"{_MACHINE}BuildOptions",
        "jaxpad build --base wheels --cuda 13",
    ),
    Command(
        "launch",
        USE,
        "Start a workspace in the current folder, as you; a command may follow behind `--`.",
        "jaxpad.cli.launch:launch",
        f"{_MACHINE}LaunchOptions",
        "jaxpad launch --gpus 0,1 -- python train.py",
    ),
    Command(
        "kernel",
        USE,
        "Install a Jupyter kernel, for you, that runs in this environment.",
        "jaxpad.cli.launch:kernel",
        f"{_MACHINE}KernelOptions",
        "jaxpad kernel --profile fsdp",
        "smoke",
    ),
    Command(
        "report",
        USE,
        "Make report.html and junit.xml anew from smoke.json and traces.json.",
        "jaxpad.cli.fleet:report_command",
        f"{_MACHINE}ReportOptions",
        "jaxpad report --dir smoke-report",
    ),
    Command(
        "profile.list",
        USE,
        "List the XLA profiles.",
        "jaxpad.cli.profile:list_command",
        f"{_PROFILE}ListOptions",
        "jaxpad profile.list",
    ),
    Command(
        "profile.show",
        USE,
        "Show what a profile sets here, flag by flag, and which layer each comes from.",
        "jaxpad.cli.profile:show_command",
        f"{_PROFILE}ShowOptions",
        "jaxpad profile.show --profile fsdp",
    ),
    Command(
        "profile.check",
        USE,
        "Validate the profiles against their format and the installed XLA.",
        "jaxpad.cli.profile:check_command",
        f"{_PROFILE}CheckOptions",
        "jaxpad profile.check --profile fsdp",
        "proof",
    ),
    Command(
        "profile.flags",
        USE,
        "Search the flags that the installed XLA knows.",
        "jaxpad.cli.profile:flags_command",
        f"{_PROFILE}FlagsOptions",
        "jaxpad profile.flags --match all_gather",
        "proof",
    ),
    Command(
        "profile.explain",
        USE,
        "Say what each flag of a profile does to the compiled program, with no GPU.",
        "jaxpad.cli.explain:explain",
        f"{_PROFILE}ExplainOptions",
        "jaxpad profile.explain --profile fsdp-hopper --gpu h100-sxm --workload fsdp",
        "proof",
    ),
    Command(
        "profile.tune",
        USE,
        "Find the flags that make a program really faster here, and write them as a profile.",
        "jaxpad.cli.tune:profile_tune",
        f"{_PROFILE}TuneOptions",
        "jaxpad profile.tune --workload mypackage.train:step",
        "tune",
    ),
    Command(
        "profile.matrix",
        MAINTAIN,
        "Compute what every flag does: all profiles, GPUs and workloads with this jaxlib.",
        "jaxpad.cli.explain:profile_matrix",
        f"{_PROFILE}MatrixOptions",
        "jaxpad profile.matrix --check",
        "proof",
    ),
    Command(
        "fleet",
        CLUSTER,
        "Merge node reports: one verdict, whom to drain and why, who differs from its peers.",
        "jaxpad.cli.fleet:fleet_command",
        f"{_MACHINE}FleetOptions",
        "jaxpad fleet --reports smoke-report/nodes --expect n[0-7]",
    ),
    Command(
        "multi",
        CLUSTER,
        "Prove a multi-process job, once per process: srun, a pod, or by hand.",
        "jaxpad.cli.node:multi_command",
        f"{_MACHINE}MultiOptions",
        "srun -N 2 jaxpad multi",
        "smoke",
    ),
    Command(
        "pod",
        CLUSTER,
        "Run the jaxpad command behind `--`; its output comes out of a pod's log whole.",
        "jaxpad.cli.node:pod_command",
        f"{_MACHINE}PodOptions",
        "jaxpad pod -- smoke --json",
    ),
    Command(
        "nvml.record",
        MAINTAIN,
        "Write down what NVML answers here, without names and serials, for tests to play back.",
        "jaxpad.cli.node:nvml_record",
        f"{_MACHINE}RecordOptions",
        "jaxpad nvml.record",
    ),
)


def overview(commands: tuple[Command, ...]) -> str:
    """All commands, each in its group and with a line; what `jaxpad --help` prints."""
    width = max(len(one.name) for one in commands)
    lines = ["Usage: jaxpad COMMAND [--option VALUE …]", "", "jaxpad: JAX on NVIDIA GPUs."]
    for group, about in GROUPS.items():
        mine = [one for one in commands if one.group == group]
        if mine:
            lines += ["", f"{group.capitalize()} ({about}):"]
            lines += [f"  {one.name:<{width}}  {one.summary.rstrip('.')}" for one in mine]
    return "\n".join([*lines, "", "Options and an example: jaxpad COMMAND --help"]) + "\n"
