"""What a smoke run found: the data, and its forms for people and machines."""

from jaxpad.report._model import (
    SCHEMA_VERSION as SCHEMA_VERSION,
    CheckResult as CheckResult,
    Device as Device,
    EffectiveFlag as EffectiveFlag,
    Fact as Fact,
    Measurement as Measurement,
    Platform as Platform,
    Report as Report,
    XlaFlags as XlaFlags,
)
