"""The CycloneDX document of what was found.

Format: https://cyclonedx.org/docs/1.6/json/, written and checked by cyclonedx-python-lib.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

import jaxpad

_SPACE = uuid.UUID("6a2d0a0e-5f3c-5d57-9b0f-2f1f3c0c8c11")  # a name space of our own


def document_text(
    found: Mapping[str, Any], name: str, labels: Mapping[str, str], made: datetime.datetime
) -> str:
    """The document, the same for the same packages, name, labels and moment.

    Raises ValueError where it is not valid: that would be a bug of ours.
    """
    bom = Bom(components=[*_python(found), *_debian(found)])
    kind = ComponentType.CONTAINER if labels else ComponentType.APPLICATION
    bom.metadata.component = Component(
        name=name,
        type=kind,
        bom_ref=name,
        version=labels.get("org.opencontainers.image.version"),
        properties=[Property(name=key, value=labels[key]) for key in sorted(labels)],
    )
    bom.metadata.tools.components.add(Component(name="jaxpad", version=jaxpad.__version__))
    bom.metadata.timestamp = made
    bom.serial_number = uuid.uuid5(_SPACE, f"{name} {made.isoformat()} {found!r}")
    bom.register_dependency(bom.metadata.component, bom.components)
    document = JsonV1Dot6(bom).output_as_string(indent=2)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(document)
    if fault:
        raise ValueError(f"the SBOM is not valid CycloneDX 1.6: {fault}")
    return f"{document}\n"


def _python(found: Mapping[str, Any]) -> list[Component]:
    return [
        _component(
            one["name"],
            one["version"],
            PackageURL("pypi", None, one["name"], one["version"]),
            one["licence"],
        )
        for one in found["python"]
    ]


def _debian(found: Mapping[str, Any]) -> list[Component]:
    system = found["system"]
    distro = f"{system['id']}-{system['version']}"
    return [
        _component(
            one["name"],
            one["version"],
            PackageURL(
                "deb",
                system["id"] or "debian",
                one["name"],
                one["version"],
                {"arch": one["architecture"], "distro": distro},
            ),
        )
        for one in found["debian"]
    ]


def _component(name: str, version: str, purl: PackageURL, licence: str = "") -> Component:
    licences = [LicenseFactory().make_from_string(licence)] if licence else []
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=purl.to_string(),
        licenses=licences,
    )
