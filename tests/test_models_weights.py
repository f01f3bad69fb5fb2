"""Weights: verified, found, fetched; never used when they are not the ones the card means."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from streamseg.errors import ModelError
from streamseg.models import ModelCard, find_model, read_card, write_card
from streamseg.models.files import cache_folder, embedded_folder
from tests.test_models import CARD

CONTENT = b"the weights"
FETCHABLE = replace(CARD, sha256=hashlib.sha256(CONTENT).hexdigest(), url=None)


@pytest.fixture(autouse=True)
def folder(models_folder: Path) -> Path:
    """A folder of the user's own weights, and no other."""
    return models_folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str, ThreadingHTTPServer]]:
    """A folder, the address it is served at on this machine, and the server."""
    root = tmp_path / "served"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield root, f"http://127.0.0.1:{server.server_port}/mine.onnx", server
    server.shutdown()
    thread.join()
    server.server_close()


def test_tampered_embedded_weights_are_refused(tmp_path: Path) -> None:
    """One changed byte: both hashes are named and the file is not used."""
    for name in ("selfie.toml", "selfie.onnx"):
        (tmp_path / name).write_bytes((embedded_folder() / name).read_bytes())
    card = read_card(tmp_path / "selfie.toml")
    assert card.verified_weights() == tmp_path / "selfie.onnx"
    content = bytearray((tmp_path / "selfie.onnx").read_bytes())
    content[1000] ^= 1
    (tmp_path / "tampered.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=f"have sha256 .*, expected {card.sha256}"):
        replace(card, weights="tampered.onnx").verified_weights()


def test_weights_are_found_by_name_in_the_users_folders(folder: Path) -> None:
    """One level down counts; a wrong file elsewhere does not get in the way of the right one."""
    (folder / "mine.onnx").write_bytes(b"something else")
    (folder / "deeper" / "mine.onnx").write_bytes(CONTENT)
    assert FETCHABLE.verified_weights() == folder / "deeper" / "mine.onnx"


def test_missing_weights_without_an_address_say_where_they_come_from(tmp_path: Path) -> None:
    """The message names the file, the folder it belongs into and the source."""
    with pytest.raises(ModelError, match=r"no weights 'mine\.onnx' for .* from: nowhere") as caught:
        FETCHABLE.verified_weights()
    assert str(tmp_path / "data") in str(caught.value)


def test_fetched_weights_are_verified_and_kept(served: tuple[Path, str, ThreadingHTTPServer]) -> None:
    """The second time no server is needed."""
    root, url, _ = served
    (root / "mine.onnx").write_bytes(CONTENT)
    card = replace(FETCHABLE, url=url)
    first = card.verified_weights()
    assert first.read_bytes() == CONTENT
    (root / "mine.onnx").unlink()
    assert card.verified_weights() == first
    assert cache_folder() in first.parents


def test_a_download_of_something_else_is_thrown_away(served: tuple[Path, str, ThreadingHTTPServer]) -> None:
    """Another hash is an error and leaves no file behind."""
    root, url, _ = served
    (root / "mine.onnx").write_bytes(b"an error page")
    with pytest.raises(ModelError, match="are not the expected file"):
        replace(FETCHABLE, url=url).verified_weights()
    assert [path for path in cache_folder().rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("status", ["gone", "refused"])
def test_no_network_is_one_line_that_says_what_to_do(
    served: tuple[Path, str, ThreadingHTTPServer], status: str
) -> None:
    """Without the file or the server: the address, the reason, and where to put the file by hand."""
    url = served[1] if status == "gone" else "http://user:secret@127.0.0.1:9/mine.onnx"
    with pytest.raises(ModelError, match=r"cannot fetch .* or put 'mine\.onnx' into") as caught:
        replace(FETCHABLE, url=url).verified_weights()
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_offline_is_said_in_few_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network the host's name is not found: that is said, not how often it was tried."""

    def unknown(*_args: object, **_options: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ModelError) as caught:
        replace(FETCHABLE, url="https://weights.example/mine.onnx").verified_weights()
    assert "mine.onnx': no network (could not find host weights.example); try again when" in str(caught.value)
    assert len(str(caught.value)) < 250 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("status", "why"),
    [("gone", "127.0.0.1 answered 404 file not found;"), ("refused", "no connection to 127.0.0.1;")],
)
def test_servers_that_do_not_deliver(
    served: tuple[Path, str, ThreadingHTTPServer], status: str, why: str
) -> None:
    """What the server said, or that there is none, in few words."""
    url = served[1] if status == "gone" else "http://127.0.0.1:9/mine.onnx"
    with pytest.raises(ModelError) as caught:
        replace(FETCHABLE, url=url).verified_weights()
    assert why in str(caught.value)


def run(card: ModelCard, picture: np.ndarray) -> np.ndarray:
    """Run a card's network on an RGB picture of the input's size; return its scores (C, h, w)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(card.verified_weights()), providers=["CPUExecutionProvider"])
    values = (picture * card.input.scale - card.input.mean) / card.input.std
    feeds = {state.input: np.zeros(state.shape, np.float32) for state in card.states}
    feeds[card.input.name] = values.transpose(2, 0, 1)[None].astype(np.float32)
    return session.run([card.output.name], feeds)[0][0]


@pytest.mark.parametrize("name", ["rvm", "deeplab-voc", "deeplab-cityscapes"])
def test_shipped_cards_fit_their_weights(name: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks of the cards run on a real street and find its person, in the classes' order."""
    import cv2

    monkeypatch.setenv("STREAMSEG_MODELS", str(data / "models"))
    card = find_model(name)
    picture = cv2.imread(str(data / "groundtruth" / "pennfudan" / "images" / "FudanPed00043.png"))
    resized = cv2.resize(picture, (card.input.width, card.input.height), interpolation=cv2.INTER_AREA)
    scores = run(card, cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
    assert scores.shape[0] == (1 if name == "rvm" else len(card.classes))
    person = scores[0] > 0.5 if name == "rvm" else scores.argmax(0) == card.classes.index("person")
    assert 0.02 < person.mean() < 0.6


def test_a_guessed_card_agrees_with_the_shipped_one(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the recurrent network everything that matters is found in the file."""
    monkeypatch.setenv("STREAMSEG_MODELS", str(data / "models"))
    card = find_model("rvm")
    guessed = find_model(str(card.verified_weights()))
    assert (guessed.output, guessed.states, guessed.classes) == (card.output, card.states, card.classes)
    assert guessed.input == replace(card.input, fit="stretch")


def test_a_card_beside_its_weights_needs_no_folder(tmp_path: Path) -> None:
    """Card and weights travel together."""
    write_card(FETCHABLE, tmp_path / "mine.toml")
    (tmp_path / "mine.onnx").write_bytes(CONTENT)
    assert find_model(str(tmp_path / "mine.toml")).verified_weights() == tmp_path / "mine.onnx"
