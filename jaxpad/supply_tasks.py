"""The task `sbom`: what an image is made of."""

from __future__ import annotations

from invoke import Context

from jaxpad.tasking import command, perform


@command(
    help={
        "image": "the image to ask; default: this environment",
        "engine": "docker or podman; default: the first that answers",
        "out": "the file to write, - for standard output; default: sbom.cdx.json",
    }
)
def sbom(_c: Context, image: str = "", engine: str = "", out: str = "") -> None:
    """Write down every package of an image, as a CycloneDX document."""
    perform("sbom", locals())
