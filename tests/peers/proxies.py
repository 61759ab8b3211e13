"""Start real proxies in front of our server, configured by the files in `deploy/`.

Each listens on a free port of 127.0.0.1 and ends with the process that started it.
"""

import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests import servers
from tests.conftest import tool
from tests.processes import ROOT

DEPLOY = ROOT / "deploy"
# Debian's nginx includes conf.d in a similar file. This file keeps all output in one folder.
NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    # Of any length: it makes the tags of answers weak ones.
    gzip on;
    gzip_min_length 1;
    gzip_proxied any;
    gzip_types application/json;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/icecream.conf;
}}
"""
CADDY = "{{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {folder}\n}}\n"


class Certificate(NamedTuple):
    """A certificate for 127.0.0.1, and the folder with its files."""

    folder: Path

    @property
    def context(self) -> ssl.SSLContext:
        """The TLS context of a client that trusts this certificate."""
        return ssl.create_default_context(cafile=str(self.folder / "cert.pem"))


def certificate(folder: Path) -> Certificate:
    """Make a self-signed certificate."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    name = ["-nodes", "-days", "2", "-subj", "/CN=ice", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(cert)]
    subprocess.run([*new, *name, *files], check=True, capture_output=True)
    (folder / "both.pem").write_text(cert.read_text() + key.read_text())
    return Certificate(folder)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _configured(name: str, folder: Path, port: int, server: int, files: Path) -> Path:
    """Copy a file of `deploy/` with other ports and another certificate; return the copy."""
    text = (DEPLOY / name).read_text()
    changes = {
        "127.0.0.1:8000": f"127.0.0.1:{server}",
        "listen 443": f"listen 127.0.0.1:{port}",
        "bind :443": f"bind 127.0.0.1:{port}",
        "ice.example.org {": f"https://127.0.0.1:{port} {{\n\ttls {files}/cert.pem {files}/key.pem",
        "/etc/ssl/icecream/": f"{files}/",
    }
    for there, here in changes.items():
        text = text.replace(there, here)
    path = folder / name
    path.write_text(text)
    return path


def _nginx(folder: Path, port: int, server: int, files: Path) -> list[str]:
    _configured("nginx.conf", folder, port, server, files).rename(folder / "icecream.conf")
    main = folder / "nginx.conf"
    # Otherwise its workers would run as the user nobody, who may not write there.
    user = "user root;" if os.geteuid() == 0 else ""
    main.write_text(NGINX.format(folder=folder, user=user))
    return ["-c", str(main), "-p", str(folder), "-e", "stderr"]


def _haproxy(folder: Path, port: int, server: int, files: Path) -> list[str]:
    return ["-db", "-f", str(_configured("haproxy.cfg", folder, port, server, files))]


def _caddy(folder: Path, port: int, server: int, files: Path) -> list[str]:
    path = _configured("Caddyfile", folder, port, server, files)
    path.write_text(CADDY.format(folder=folder) + path.read_text())
    return ["run", "--adapter", "caddyfile", "--config", str(path)]


ARGUMENTS: dict[str, Callable[[Path, int, int, Path], list[str]]] = {
    "nginx": _nginx,
    "haproxy": _haproxy,
    "caddy": _caddy,
}


@contextmanager
def proxy(name: str, folder: Path, port: int, server: int, files: Path) -> Iterator[None]:
    """Run a proxy with TLS on `port`, in front of the server on the port `server`."""
    folder.mkdir()
    command = [tool(name) or name, *ARGUMENTS[name](folder, port, server, files)]
    url, log = f"https://127.0.0.1:{port}", folder / "log"
    with servers.running(servers.Server(url, port, command, lambda: _answers(port), log)):
        yield
