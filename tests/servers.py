"""Real streaming servers on this machine, in processes that a test may kill and start again on the same port.

`nginx` takes RTMP in and gives RTMP and HLS out, `rtsp_server` plays a clip to whoever comes, `rtsp_recorder`
writes what is sent to it, `publisher` and `datagrams` send a clip at its own speed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import pytest

_TESTS = Path(__file__).resolve().parent
_SYSTEM_PYTHON = "/usr/bin/python3"
"""Debian's packages for Python are in the system's own."""

_RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
_PATIENCE = 20
"""Seconds a server may take to begin."""

_CONFIGURATION = """
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 64; }}
rtmp {{
    server {{
        listen 127.0.0.1:{rtmp};
        ping 1s;
        ping_timeout 1s;
        application live {{
            live on;
            wait_key on;
            wait_video on;
            {recording}
            hls on;
            hls_path {folder}/hls;
            hls_fragment 1s;
            hls_playlist_length 6s;
        }}
    }}
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
    server {{
        listen 127.0.0.1:{http};
        location / {{ root {folder}; add_header Cache-Control no-cache; }}
    }}
}}
"""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port nobody listens at."""
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def wait_for(condition: Callable[[], bool], what: str, *, seconds: float = _PATIENCE) -> None:
    """Wait until `condition` holds; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"no {what} after {seconds:g} s"
        time.sleep(0.02)


def listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """A program in a process of its own. Leaving the `with` block kills it."""

    def __init__(self, command: Sequence[str | Path], *, port: int | None = None) -> None:
        """`port`: the one at which it listens as soon as it can serve; None: it does not listen."""
        self._command = [str(part) for part in command]
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if self._port is not None:
            port = self._port
            wait_for(lambda: not self.running or listening(port), f"server at port {port}")
            assert self.running, f"{self._command[0]} ended at once"

    def kill(self) -> None:
        """End it without a farewell; the system closes its connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It takes and says nothing until it thaws; its connections stand."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """It has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Wait until it ends by itself."""
        assert self._process is not None
        self._process.wait(seconds)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class Nginx(Server):
    """RTMP in and out, HLS out."""

    def __init__(self, folder: Path, *, record: bool = False) -> None:
        """`record`: every publication is also kept in `folder`/recorded, a file each."""
        program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None or not _RTMP_MODULE.exists():
            pytest.skip("needs nginx with RTMP: apt install nginx-light libnginx-mod-rtmp")
        self.rtmp_port, self.http_port = free_port(), free_port()
        self.recorded = folder / "recorded"
        for name in ("hls", "recorded"):
            (folder / name).mkdir(parents=True)
        keep = f"record all; record_path {self.recorded}; record_unique on;" if record else ""
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                module=_RTMP_MODULE,
                folder=folder,
                rtmp=self.rtmp_port,
                http=self.http_port,
                recording=keep,
            )
        )
        super().__init__([program, "-p", folder, "-c", configuration], port=self.rtmp_port)
        self.playlists = folder / "hls"

    def rtmp(self, name: str = "a") -> str:
        """Where to publish and to play a stream."""
        return f"rtmp://127.0.0.1:{self.rtmp_port}/live/{name}"

    def hls(self, name: str = "a") -> str:
        """The playlist of a stream that is published."""
        return f"http://127.0.0.1:{self.http_port}/hls/{name}.m3u8"


@contextmanager
def nginx(folder: Path, *, record: bool = False) -> Iterator[Nginx]:
    """An RTMP and HLS server, its files in `folder`."""
    server = Nginx(folder / "nginx", record=record)
    with server:
        yield server


class Rtsp(Server):
    """GStreamer's RTSP server."""

    def __init__(self, *options: str | Path, user: str = "") -> None:
        """`user`: `name:password` without which nobody is let in."""
        modules = "gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
        try:
            ready = subprocess.run(
                [_SYSTEM_PYTHON, "-W", "ignore", "-c", f"import gi; {modules}"], capture_output=True
            )
        except OSError:
            pytest.skip(f"needs {_SYSTEM_PYTHON} with GStreamer")
        if ready.returncode:
            pytest.skip(
                "needs GStreamer's RTSP server: apt install gir1.2-gst-rtsp-server-1.0 python3-gi "
                "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
            )
        self.port = free_port()
        script = _TESTS / "rtsp_server.py"
        command = [_SYSTEM_PYTHON, "-W", "ignore", script, "--port", str(self.port), *options]
        super().__init__([*command, "--user", user] if user else command, port=self.port)

    @property
    def uri(self) -> str:
        """Where to play from or to publish to."""
        return f"rtsp://127.0.0.1:{self.port}/a"


@contextmanager
def rtsp_server(clip: Path, *, user: str = "") -> Iterator[Rtsp]:
    """A server that plays a Matroska file of H.264, and AAC if it has sound, to each client from its
    beginning, in real time."""
    server = Rtsp("--play", clip, user=user)
    with server:
        yield server


@contextmanager
def rtsp_recorder(folder: Path, *, sound: bool = False) -> Iterator[Rtsp]:
    """A server that writes every publication (H.264, AAC if `sound`) to a file `0.mkv`, `1.mkv`, ... in
    `folder`."""
    server = Rtsp("--record", folder, *(["--sound"] if sound else []))
    with server:
        yield server


@contextmanager
def publisher(clip: Path, address: str, *, speed: float = 1.0) -> Iterator[Server]:
    """Send the packets of a clip to a server at its own pace, over and over: rtmp://, tcp://, udp://."""
    with Server([sys.executable, _TESTS / "publish.py", clip, address, str(speed)]) as sender:
        yield sender
