"""Metrics for Prometheus, by way of node_exporter's textfile collector.

https://prometheus.io/docs/instrumenting/exposition_formats/: no time stamps, as the
collector takes none.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jaxpad import whole_file
from jaxpad.errors import UsageError

Sample = tuple[dict[str, str], float]
Metric = tuple[str, str, list[Sample]]  # name, what it says, samples


def text(prefix: str, metrics: Iterable[Metric]) -> str:
    """All metrics that have a sample, as gauges whose names begin with `prefix`."""
    return "".join(
        f"# HELP {prefix}_{name} {words}\n# TYPE {prefix}_{name} gauge\n"
        + "".join(f"{prefix}_{name}{_labels(labels)} {value!r}\n" for labels, value in samples)
        for name, words, samples in metrics
        if samples
    )


def _labels(labels: dict[str, str]) -> str:
    quoted = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{','.join(quoted)}}}" if labels else ""


def _escaped(value: str) -> str:
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in value)
    return clean.replace("\\", "\\\\").replace('"', '\\"')


def write(content: str, file: Path) -> None:
    """Write the metrics whole or not at all: node_exporter may read at any moment.

    Raises UsageError for a file that the collector would not read or that cannot be written.
    """
    if file.suffix != ".prom":
        raise UsageError(f"--textfile {file}: node_exporter reads only names that end in .prom")
    try:
        whole_file.write(file, content)
    except OSError as error:
        raise UsageError(f"--textfile {file}: {error.strerror or error}; mend it") from None
