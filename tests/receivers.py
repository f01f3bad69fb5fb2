"""Who takes streams in the tests of the sinks: listeners that read, stall or leave on cue, and a web server
that stores what is put to it. Servers of other protocols are in `servers`."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import av
import pytest

import streamseg
from streamseg.backoff import Backoff
from streamseg.report import Report
from streamseg.sinks import Encoding, Sink, open_sink
from streamseg.sources import open_source
from streamseg.stats import Stats
from tests.servers import Server, free_port

SOON = Backoff(shortest=0.05, longest=0.1)
"""Attempts to connect again that a test need not wait for."""

_DAV = """
{modules}
daemon off;
master_process off;
pid {folder}/dav.pid;
error_log {folder}/dav.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{secure} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        location / {{ root {folder}/stored; dav_methods PUT DELETE; create_full_put_path on; }}
        location /closed/ {{ return 403; }}
    }}
}}
stream {{
    server {{
        listen 127.0.0.1:{wrapped} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        proxy_pass 127.0.0.1:{behind};
    }}
}}
"""

_MODULES = Path("/usr/lib/nginx/modules")


class Dav(Server):
    """nginx storing what is put: by HTTP, by HTTPS; and wrapping TLS around another server's port."""

    def __init__(self, folder: Path, *, behind: int = 9) -> None:
        program, stream = shutil.which("nginx", path="/usr/sbin:/usr/bin"), _MODULES / "ngx_stream_module.so"
        if program is None or not stream.exists() or shutil.which("openssl") is None:
            pytest.skip("needs nginx with TLS streams: apt install nginx-light libnginx-mod-stream openssl")
        self.stored, self.certificate = folder / "stored", folder / "certificate.pem"
        self.stored.mkdir(parents=True)
        _certify(folder)
        self.port, self.secure, self.wrapped = free_port(), free_port(), free_port()
        text = _DAV.format(
            modules=f"load_module {stream};",
            folder=folder,
            port=self.port,
            secure=self.secure,
            wrapped=self.wrapped,
            behind=behind,
        )
        (folder / "nginx.conf").write_text(text)
        super().__init__([program, "-p", folder, "-c", folder / "nginx.conf"], port=self.port)


def _certify(folder: Path) -> None:
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext {names}"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)


class Listener:
    """Takes one TCP connection after another, and keeps what each sends; reads nothing while `stalled`.

    `drop` ends the connection that stands, `leave` all of it; a context manager that leaves nothing behind.
    """

    def __init__(self, *, stalled: bool = False, small: bool = False) -> None:
        """`small`: it can be sent little before it has read what was sent."""
        self.stalled = stalled
        self.received: list[bytearray] = []
        """One for each connection."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        if small:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(0.02)
        self._connection: socket.socket | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._serve)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._socket.getsockname()[1]
        return port

    def drop(self) -> None:
        """Break the connection."""
        connection = self._connection
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Be gone: from now on connections are refused."""
        self._ended = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._ended:
            try:
                connection, _ = self._socket.accept()
            except TimeoutError:
                continue
            self.received.append(bytearray())
            self._connection = connection
            with connection:
                self._read(connection)
            self._connection = None

    def _read(self, connection: socket.socket) -> None:
        connection.settimeout(0.02)
        pause = threading.Event()
        while not self._ended:
            if self.stalled:
                pause.wait(0.02)
                continue
            try:
                piece = connection.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                return
            if not piece:
                return
            self.received[-1] += piece

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()


def broadcast(
    clip: Path,
    *sinks: Sink,
    live: bool | None = True,
    duration: float | None = None,
    watch: Callable[[Stats], None] | None = None,
    control: streamseg.Control | None = None,
    effect: str = "blur",
) -> Report:
    """Run a clip, at its own speed, into sinks; its brightness is kept, with `overlay` its noise too."""
    with (
        open_source(str(clip), live=live, duration=duration) as source,
        streamseg.Segmenter(streamseg.find_model("selfie"), runtime="null", crop="off") as segmenter,
        streamseg.open_compositor(streamseg.effect(effect)) as compositor,
    ):
        return streamseg.run(source, segmenter, compositor, sinks, watch=watch, control=control)


def stream_to(
    uri: str,
    *,
    timeout: float = 2.0,
    attempts: int | None = None,
    encoding: Encoding | None = None,
    say: Callable[[str], None] = lambda _line: None,
    shared: bool = False,
) -> Sink:
    """A network sink that comes back soon."""
    backoff = Backoff(shortest=SOON.shortest, longest=SOON.longest, attempts=attempts)
    return open_sink(
        uri,
        encoding=encoding or Encoding(),
        timeout=timeout,
        backoff=backoff,
        live=True,
        say=say,
        shared=shared,
    )


def join_left_behind() -> None:
    """Wait until the streams that a run did not wait for have noticed that it is over."""
    for thread in threading.enumerate():
        if thread.name == "streamseg-sink":
            thread.join()


def when(frames: int, act: Callable[[], None]) -> Callable[[Stats], None]:
    """What to `watch` with, so that `act` is called once so many frames are out."""
    done: list[bool] = []

    def watch(stats: Stats) -> None:
        if stats.frames_out >= frames and not done:
            done.append(True)
            act()

    return watch


def packets_in(recording: Path | bytes, kind: str) -> list[tuple[Fraction, bool]]:
    """Time and whether it is a keyframe, of each packet of a kind, as they lie in a file; a file that was cut
    off ends where it ends."""
    found = []
    with _opened(recording) as container:
        stream = next(each for each in container.streams if each.type == kind)
        with suppress(av.FFmpegError):
            found.extend(
                (packet.dts * Fraction(packet.time_base), packet.is_keyframe)
                for packet in container.demux(stream)
                if packet.dts is not None and packet.size
            )
    return found


@contextmanager
def _opened(recording: Path | bytes) -> Iterator[av.container.InputContainer]:
    place = BytesIO(recording) if isinstance(recording, bytes) else str(recording)
    with av.open(place, "r") as container:
        yield container


def rising(times: Sequence[Fraction]) -> bool:
    """Whether each is later than the one before."""
    return all(before < after for before, after in pairwise(times))
