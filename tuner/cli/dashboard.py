"""`tune dashboard`: start it and say where it is."""

from __future__ import annotations

import sys
from pathlib import Path

from tuner.dashboard.guard import LOOPBACK
from tuner.dashboard.server import dashboard
from tuner.study.storage import open_storage

EXPOSED = """\
--host {host} exposes it: whoever reaches port {port} may read all studies of this storage, and
change or DELETE them. There is no password and no TLS. A tunnel is safer: leave --host out and,
elsewhere,
  ssh -N -L {port}:127.0.0.1:{port} THIS-MACHINE"""


def serve(name: str, url: str, results: Path, host: str, port: int) -> None:
    """Serve until interrupted. Raises InputError when the port is taken."""
    storage = open_storage(url, create=False)
    with dashboard(name, storage, results, host, port) as (server, address):
        if host not in LOOPBACK:
            print(EXPOSED.format(host=host, port=server.server_port), file=sys.stderr)
        print(address, flush=True)
        print("Ctrl-C ends it.", flush=True)
        server.serve_forever()
