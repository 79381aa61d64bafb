"""The base of the serving image: Debian's Python 3.11 with the tools that set packet loss.

It is pulled where a registry answers, and otherwise bootstrapped from Debian packages.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import requests
from docker import DockerClient
from docker.errors import APIError, DockerException, ImageNotFound

from tuner.errors import SetupError, TrialFailed

Base = Literal["auto", "pull", "bootstrap"]
Say = Callable[[str], None]

BASE_REPOSITORY = "tune-base"
PULLED = "python:3.11-slim-bookworm"
SUITE = "bookworm"
BASE_PACKAGES = ("iptables", "iproute2", "ethtool")

_PROBE_SECONDS = 10
# Debian's own system directory for large files: debootstrap refuses a /tmp mounted `nodev`.
SCRATCH = "/var/tmp"  # noqa: S108 only unguessable names are made in it

# Debian's Python brings its bytecode, the pulled one does not.
_DOCKERFILE = f"""\
FROM {PULLED}
RUN apt-get update \\
 && apt-get install -y --no-install-recommends {" ".join(BASE_PACKAGES)} \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/log/* \\
 && python3 -m compileall -q -x lib2to3/tests \\
    "$(python3 -c 'import os; print(os.path.dirname(os.__file__))')"
"""

# What a container never reads. Copyright files stay.
_LEFT_OUT = (
    "./dev/*",
    "./proc/*",
    "./sys/*",
    "./debootstrap",
    "./var/cache/*",
    "./var/lib/apt/lists/*",
    "./var/log/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./usr/share/doc/*/[!c]*",
    "./usr/share/doc/*/changelog*",
)


def base_tag() -> str:
    """The reference of the base image. Its tag depends on the recipe."""
    recipe = repr((_DOCKERFILE, SUITE, BASE_PACKAGES, _LEFT_OUT))
    return f"{BASE_REPOSITORY}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def build_base(client: DockerClient, say: Say, base: Base) -> str:
    """Make the base image where it is missing, and return its reference. `say` gets each step.

    `base` says how. Raises SetupError where that does not work here.
    """
    tag = base_tag()
    if image_exists(client, tag):
        return tag
    reason = ""
    if base != "bootstrap":
        try:
            return _pull(client, say, tag)
        except (DockerException, requests.RequestException, TrialFailed) as error:
            reason = f"{PULLED} could not be pulled and extended: {first_line(error)}"
        if base == "pull":
            raise SetupError(
                reason, "give the engine access to a registry, or use --base bootstrap"
            )
        say(reason)
    return _bootstrap(client, say, tag, reason)


def image_exists(client: DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def _pull(client: DockerClient, say: Say, tag: str) -> str:
    if not image_exists(client, PULLED):
        say(f"asking for {PULLED} (at most {_PROBE_SECONDS} s)")
        with _timeout(client, _PROBE_SECONDS):
            client.api.inspect_distribution(PULLED)  # type: ignore[no-untyped-call] # no stub
        say(f"pulling {PULLED}")
        client.images.pull(PULLED)
    say(f"adding {', '.join(BASE_PACKAGES)}")
    client.images.build(fileobj=io.BytesIO(_DOCKERFILE.encode()), tag=tag, rm=True, forcerm=True)
    return tag


@contextmanager
def _timeout(client: DockerClient, seconds: int) -> Iterator[None]:
    before, client.api.timeout = client.api.timeout, seconds
    try:
        yield
    finally:
        client.api.timeout = before


def _bootstrap(client: DockerClient, say: Say, tag: str, reason: str) -> str:
    packages = ",".join(("python3", *BASE_PACKAGES))
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        why = f"{reason}\n" if reason else ""
        raise SetupError(
            f"{why}the base image must be bootstrapped, which needs root and the tool debootstrap",
            "as root: apt-get install -y debootstrap debian-archive-keyring, "
            "then `tune image build` as root",
        )
    say(f"bootstrapping Debian {SUITE} with {packages} (about a minute)")
    with tempfile.TemporaryDirectory(prefix="tune-base-", dir=SCRATCH) as scratch:
        root = Path(scratch, "root")
        command = [
            *("debootstrap", "--variant=minbase", f"--include={packages}", "--force-check-gpg"),
            *(SUITE, str(root), *_mirror()),
        ]
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, env=_environment()
            )
        finally:
            _unmount_below(root)
        if done.returncode:
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
            raise SetupError(
                f"debootstrap failed:\n{tail}", "check that apt-get update works on this machine"
            )
        say(f"importing {tag}")
        _import(client, root, tag)
    return tag


def _import(client: DockerClient, root: Path, tag: str) -> None:
    """Make an image of the tree below `root`. It gets `tag` only once it is complete."""
    pack = ["tar", "--numeric-owner", "--create", "--directory", str(root)]
    pack += [f"--exclude={pattern}" for pattern in _LEFT_OUT]
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    with subprocess.Popen([*pack, "."], stdout=subprocess.PIPE) as packing:
        answer = client.api.import_image_from_stream(packing.stdout, changes=[f"ENV {path}"])
    # One JSON object per line; the last one is the image's id or an error.
    last = json.loads(answer.splitlines()[-1])
    if packing.returncode or "error" in last:
        if "error" not in last:
            client.images.remove(last["status"])  # of a tree cut short
        raise SetupError(
            f"the base image could not be imported: {last.get('error', 'tar failed')}",
            "check the free disk space; `tune image build` starts anew",
        )
    client.images.get(last["status"]).tag(*tag.split(":"))


def _mirror() -> list[str]:
    """The mirror that this machine's apt uses for the suite; empty where it is another system."""
    listing = _output(
        "apt-get",
        "indextargets",
        "--format",
        "$(CODENAME) $(COMPONENT) $(REPO_URI)",
        "Created-By: Packages",
    )
    for line in listing.splitlines():
        codename, component, uri = line.split(maxsplit=2)
        if (codename, component) == (SUITE, "main"):
            return [uri]
    return []


def _environment() -> dict[str, str]:
    """The environment with apt's proxy."""
    proxy = _output("apt-config", "shell", "p", "Acquire::http::Proxy").strip()
    value = proxy.removeprefix("p=").strip("'")
    return {**os.environ, **({"http_proxy": value} if value else {})}


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def _unmount_below(root: Path) -> None:
    """Unmount what a failed debootstrap left mounted, before its directory is removed."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed(mounts):
        if Path(mount).is_relative_to(root):
            subprocess.run(["umount", "--lazy", mount], check=True)


def first_line(error: Exception) -> str:
    """The first line of an error, in the engine's own words where it is the engine's."""
    if isinstance(error, APIError) and error.explanation:
        return str(error.explanation).splitlines()[0]
    return str(error).splitlines()[0] if str(error) else type(error).__name__
