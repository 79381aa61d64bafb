"""nginx from Debian's packages and a FastAPI application, explored by commands alone."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from docker import DockerClient

from tests.cli.command import Tune
from tuner.serving.base import base_tag
from tuner.serving.image import build_image

pytestmark = pytest.mark.docker

NGINX = """
worker_processes 1;
pid /run/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path /tmp/body;
  server {
    listen 8080;
    keepalive_requests 1000000;
    location /status { default_type application/json; alias /srv/status.json; }
    location /healthz { return 200 "ok"; }
  }
}
"""
STATUS = b'{"service": "static", "version": 7}'
FASTAPI = b"""
from fastapi import FastAPI
from pydantic import BaseModel

class Numbers(BaseModel):
    x: list[float]

app = FastAPI()

@app.get("/healthz")
def healthz():
    return {"ok": True}

@app.post("/mean")
def mean(numbers: Numbers):
    return {"mean": sum(numbers.x) / len(numbers.x)}
"""
QUICK = {
    "min_seconds": 0.5,
    "max_seconds": 1,
    "min_requests": 20,
    "precision": 0.5,
    "batch_seconds": 0.1,
    "warmup_max_seconds": 0.5,
    "max_foreign_percent": 100,
}


@contextmanager
def image(engine: DockerClient, dockerfile: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """An image that a Dockerfile makes of these files, until the end of the block."""
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in {"Dockerfile": dockerfile.encode(), **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    context.seek(0)
    tag = f"tune-test-common:{uuid.uuid4().hex[:12]}"
    engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True)
    try:
        yield tag
    finally:
        engine.images.remove(tag, force=True)


def fetched(directory: Path, *command: str) -> list[Path]:
    """What a package manager of this machine downloads; skips where it cannot."""
    directory.mkdir()
    try:
        subprocess.run(
            command, cwd=directory, check=True, capture_output=True, text=True, timeout=120
        )
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"{command[0]} downloads nothing here: {getattr(error, 'stderr', '') or error}")
    return sorted(directory.iterdir())


def explored(tune: Tune, name: str, *add: str) -> str:
    """From an image to the compose file of what was measured; returns the file."""
    added = tune("models", "add", "--name", name, *add)
    assert added.code == 0, added.err
    # A closed loop asks nginx for more than the load engine can send.
    started = tune("init", name, "--model", name, "--slo", "p95_ms <= 100", "--rate", "100")
    assert started.code == 0, started.err
    study = Path(f"studies/{name}/study.yaml")
    text = study.read_text()
    for key, value in QUICK.items():  # a person would wait for the usual bursts
        text, changed = re.subn(rf"(?m)^  {key}: \S+", f"  {key}: {value}", text)
        assert changed == 1
    study.write_text(text)
    ran = tune("run", "--study", name, "--trials", "2")
    assert ran.code == 0, ran.err
    trials = json.loads(tune("show", "--study", name, "--json").out)["trials"]
    assert len(trials) == 2
    assert trials[0]["outcome"] == "measured"
    exported = tune("export", "--study", name, "--format", "compose", "--pick", "0")
    assert exported.code == 0, exported.err
    return exported.out


def health_check(compose: str) -> list[str]:
    services = yaml.safe_load(compose)["services"].values()
    (check,) = {tuple(service["healthcheck"]["test"]) for service in services}
    return list(check)


def test_nginx_of_debian_with_a_static_answer(
    tune: Tune, engine: DockerClient, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    for deb in fetched(tmp_path / "debs", "apt-get", "download", "nginx", "nginx-common"):
        subprocess.run(["dpkg-deb", "--extract", deb, root], check=True)
    # The base image has no dpkg.
    installed = [p for top in ("usr", "etc") for p in (root / top).rglob("*") if p.is_file()]
    dockerfile = f"""\
FROM {base_tag()}
COPY usr /usr
COPY etc /etc
COPY nginx.conf /etc/nginx/nginx.conf
COPY status.json /srv/status.json
EXPOSE 8080
CMD ["nginx", "-g", "daemon off;"]
"""
    files = {str(path.relative_to(root)): path.read_bytes() for path in installed}
    files |= {"nginx.conf": NGINX.encode(), "status.json": STATUS}
    with image(engine, dockerfile, files) as reference:
        served = "--image", reference, "--ready", "/healthz", "--request", "GET /status"
        refused = tune("models", "add", "--name", "static", *served)
        assert refused.code == 2
        assert "Read-only file system" in refused.err
        assert "--writable for what it must write" in refused.err
        compose = explored(
            tune,
            "static",
            *served,
            *("--writable", "/run", "--writable", "/tmp", "--writable", "/var/lib/nginx"),
            *("--writable", "/var/log/nginx"),
        )
    (request,) = yaml.safe_load(Path("models/static/model.yaml").read_text())["http"]["requests"]
    assert request["answer"] == {"status": 200, "json": json.loads(STATUS)}
    assert f"image: {reference}" in compose
    assert health_check(compose)[-2:] == ["8080", "/healthz"]


@pytest.mark.thorough
def test_a_fastapi_application(tune: Tune, engine: DockerClient, tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:")
    wheels = fetched(tmp_path / "wheels", *pip, "fastapi")
    site: dict[str, bytes] = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            site |= {f"site/{name}": archive.read(name) for name in names}
    # It has Python and uvicorn.
    dockerfile = f"""\
FROM {build_image(engine, print)}
COPY site /srv/site
COPY app.py /srv/app.py
ENV PYTHONPATH=/srv:/srv/site:/opt/tfserver
ENTRYPOINT ["python3", "-m", "uvicorn"]
"""
    with image(engine, dockerfile, {**site, "app.py": FASTAPI}) as reference:
        compose = explored(
            tune,
            "fast",
            *("--image", reference, "--ready", "/healthz", "--port", "8000"),
            *("--command", "app:app --host 0.0.0.0 --port 8000 --log-level warning"),
            *("--request", 'POST /mean {"x": [1, 2, 6]}'),
        )
    (request,) = yaml.safe_load(Path("models/fast/model.yaml").read_text())["http"]["requests"]
    assert request["answer"] == {"status": 200, "json": {"mean": 3.0}}
    assert health_check(compose)[-2:] == ["8000", "/healthz"]
