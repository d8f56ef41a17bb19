"""Proxies and certificate bundles: what a build or a pull behind a company's wall needs."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from jaxpad.doctor._engines import docker
from jaxpad.doctor._finding import Answer, failed, inconclusive, passed
from jaxpad.doctor._host import Host

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
SETTINGS = (*PROXIES, "NO_PROXY")
BUNDLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
)
DAEMON = (
    "if docker pull cannot connect, give the daemon its proxy: docs.docker.com/engine/daemon/proxy"
)
ONE = "set both spellings alike: some programs read the one, some the other"
MEND = "correct the variable, or unset it to use the system's certificates"


def proxies(host: Host) -> Answer:
    """Pass: none is set, or the shell and docker's daemon both have one.

    Fail: HTTP_PROXY and http_proxy disagree, or docker's config.json is not JSON.
    Inconclusive: the shell has a proxy and the daemon, which pulls for itself, shows none.
    """
    unlike = [name for name in SETTINGS if _disagree(host, name)]
    if unlike:
        pairs = ", ".join(f"{name} and {name.lower()}" for name in unlike)
        return failed(f"{pairs} are set to different values", ONE)
    try:
        client = _client(host)
    except ValueError as error:
        return failed(f"docker's config.json is not JSON: {error}", "mend or remove it")
    ours, daemon = _shell(host), _daemon(host)
    known = "cannot be asked" if daemon is None else _shown(daemon)
    words = f"shell: {_shown(ours)}; docker's daemon: {known}; its client: {client}"
    uses_docker = "docker" in host.engines and docker(host).installed
    return inconclusive(words, DAEMON) if ours and uses_docker and not daemon else passed(words)


def _value(host: Host, name: str) -> str | None:
    return host.environ.get(name) or host.environ.get(name.lower()) or None


def _disagree(host: Host, name: str) -> bool:
    upper, lower = host.environ.get(name), host.environ.get(name.lower())
    return upper is not None and lower is not None and upper != lower


def _shell(host: Host) -> list[str]:
    return [value for name in PROXIES if (value := _value(host, name))]


def _daemon(host: Host) -> list[str] | None:
    """The daemon's proxies; None if it cannot be asked."""
    said = docker(host).info
    return [said[name] for name in ("HttpProxy", "HttpsProxy") if said.get(name)] if said else None


def _client(host: Host) -> str:
    """What docker's client gives to containers and builds. Raises ValueError for bad JSON."""
    folder = host.environ.get("DOCKER_CONFIG") or f"{host.environ.get('HOME', '')}/.docker"
    try:
        config: Any = json.loads(Path(folder, "config.json").read_text())
    except OSError:
        return "none"
    settings = (config.get("proxies") or {}).get("default") or {}
    return _shown([settings[name] for name in ("httpProxy", "httpsProxy") if settings.get(name)])


def _shown(addresses: list[str]) -> str:
    """The hosts alone: what stands before an @ is a user and a password."""
    hosts = (address.rsplit("@", 1)[-1].split("://")[-1] for address in addresses)
    return ", ".join(dict.fromkeys(re.split("[/?#]", host)[0] for host in hosts)) or "none"


def certificates(host: Host) -> Answer:
    """Pass: no bundle is set, or each can be read. Fail: one is missing, unreadable or empty."""
    named = {name: path for name in BUNDLES if (path := host.environ.get(name))}
    wrong = [f"{name}={path}: {why}" for name, path in named.items() if (why := _problem(path))]
    if wrong:
        return failed("; ".join(wrong), MEND)
    if not named:
        return passed("no bundle is set: the system's own certificates are used")
    first = next(iter(named.values()))
    return passed(
        f"{', '.join(named)} can be read; an image's build does not see them: "
        f"invoke build --ca-bundle {first} passes one on"
    )


def _problem(path: str) -> str | None:
    """Why no certificates come from there; SSL_CERT_DIR may list several folders."""
    places = [Path(part) for part in path.split(os.pathsep)]
    absent = [place for place in places if not place.exists()]
    if absent:
        return f"{absent[0]} does not exist"
    closed = [place for place in places if not os.access(place, os.R_OK)]
    if closed:
        return "it cannot be read"
    empty = [place for place in places if place.is_file() and not place.stat().st_size]
    return "it is empty" if empty else None
