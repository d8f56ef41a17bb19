"""What an image is made of, as a CycloneDX document."""

from jaxpad.sbom._command import Options, sbom

__all__ = ["Options", "sbom"]
