"""`streamseg models`: listing, showing, importing, fetching."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from streamseg.models.files import user_folder
from tests.commandline import PROJECT, Cli


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own cards, and no other."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("STREAMSEG_MODELS", str(tmp_path / "models"))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def card(
    folder: Path, name: str, *, weights: bytes | None = None, url: str | None = None, sha256: str = ""
) -> None:
    """Write a card like that of the embedded model, with other weights."""
    text = (PROJECT / "engines" / "selfie.toml").read_text()
    lines = [
        line for line in text.splitlines() if not line.startswith(('name = "selfie"', "weights", "sha256"))
    ]
    head = [f'name = "{name}"', f'weights = "{name}.onnx"', f'sha256 = "{sha256 or "0" * 64}"']
    if url:
        head.append(f'url = "{url}"')
    (folder / f"{name}.toml").write_text("\n".join([*head, *lines]))
    if weights is not None:
        (folder / f"{name}.onnx").write_bytes(weights)


def test_list_tells_what_each_may_be_used_for(cli: Cli, folder: Path) -> None:
    """Plain `streamseg models` lists name, licence, classes, input size, place and state of the weights."""
    card(folder, "mine", weights=b"sound", sha256=hashlib.sha256(b"sound").hexdigest())
    card(folder, "damaged", weights=b"unsound")
    card(folder, "absent")
    card(folder, "remote", url="https://models.example/remote.onnx")
    said = cli("models")
    assert said.code == 0
    rows = {line.split()[0]: line for line in said.out.splitlines()}
    embedded = "Apache-2.0", "background, person", "256x256", "built in", "verified"
    assert all(word in rows["selfie"] for word in embedded), rows
    assert rows["mine"].endswith("verified")
    assert str(folder) in rows["mine"]
    assert rows["damaged"].endswith("NOT the file of the card")
    assert rows["absent"].endswith("missing")
    assert rows["remote"].endswith("fetched on use")
    assert cli("models", "list") == said


def test_list_survives_a_broken_card(cli: Cli, folder: Path) -> None:
    """One card that cannot be read does not hide the others."""
    (folder / "broken.toml").write_text("name = ")
    said = cli("models")
    assert said.code == 0
    assert "selfie" in said.out


def test_show_tells_everything(cli: Cli, folder: Path) -> None:
    """`models show` prints the whole card, in plain words."""
    said = cli("models", "show", "selfie")
    assert said.code == 0
    facts = dict(line.split(maxsplit=1) for line in said.out.splitlines())
    assert facts["licence"] == "Apache-2.0"
    assert facts["classes"] == "background, person"
    assert facts["values"] == "(code / 255 - 0) / 1"
    assert len(facts["sha256"]) == 64
    assert "(verified)" in facts["weights"]
    assert facts["your"].split()[-1] == str(user_folder())
    assert facts["opacity"] == "(p -0.2) * 1.66667, within 0 and 1"
    assert "opacity" not in cli("models", "show", "rvm").out


def test_unknown_names_are_answered_with_the_list(cli: Cli, folder: Path) -> None:
    """A model nobody knows is a usage error that lists those there are."""
    for command in ("show", "fetch"):
        said = cli("models", command, "magic")
        assert said.code == 2
        assert "'magic'" in said.error
        assert "selfie" in said.error


def test_unknown_subcommand(cli: Cli) -> None:
    """A near command is suggested or the help is pointed to."""
    said = cli("models", "shw")
    assert said.code == 2
    assert "see streamseg models --help" in said.error


def test_fetch_prints_where_the_verified_weights_are(cli: Cli, folder: Path) -> None:
    """`models fetch` ends with the path of a file whose hash is the card's."""
    said = cli("models", "fetch", "selfie")
    assert said.code == 0
    path = Path(said.out.strip())
    assert hashlib.sha256(path.read_bytes()).hexdigest() in cli("models", "show", "selfie").out


def test_damaged_weights_are_not_handed_out(cli: Cli, folder: Path) -> None:
    """Weights that are not those of the card are one line and exit code 1."""
    card(folder, "damaged", weights=b"unsound")
    said = cli("models", "fetch", "damaged")
    assert said.code == 1
    assert "sha256" in said.error


def test_import_makes_a_usable_card(cli: Cli, folder: Path, tmp_path: Path) -> None:
    """An .onnx file becomes a named model that runs, and is not imported over another by accident."""
    source = PROJECT / "engines" / "selfie.onnx"
    said = cli("models", "import", source, "--name", "copy")
    assert said.code == 0, said.err
    path, use = said.out.splitlines()
    assert Path(path).is_file()
    assert use == "use it with --model copy"
    assert "verified" in cli("models", "show", "copy").out
    ran = cli("run", "test:64x48@10,0.2s", "-o", "null:", "--model", "copy", "-q")
    assert (ran.code, ran.err) == (0, "")
    again = cli("models", "import", source, "--name", "copy")
    assert again.code == 2
    assert "exists" in again.error
    assert cli("models", "import", source, "--name", "copy", "-y").code == 0


def test_import_into_a_folder(cli: Cli, folder: Path, tmp_path: Path) -> None:
    """With --folder the card lands there and is used by its path."""
    said = cli("models", "import", PROJECT / "engines" / "selfie.onnx", "--folder", tmp_path / "nets")
    path, use = said.out.splitlines()
    assert path == str(tmp_path / "nets" / "selfie.toml")
    assert use == f"use it with --model {path}"


def test_import_of_no_network(cli: Cli, folder: Path, tmp_path: Path) -> None:
    """What is no network is one line."""
    (tmp_path / "notes.txt").write_text("no network")
    (tmp_path / "notes.onnx").write_text("no network either")
    assert cli("models", "import", tmp_path / "notes.txt").code == 2
    assert cli("models", "import", tmp_path / "notes.onnx").code == 1
    assert "notes.onnx" in cli("models", "import", tmp_path / "notes.onnx").error


def test_show_tells_of_address_and_states(cli: Cli, folder: Path) -> None:
    """An address, a network that remembers, values of its own for each colour: all of it is shown."""
    card(folder, "remote", url="https://models.example/remote.onnx")
    path = folder / "remote.toml"
    text = path.read_text().replace("[output]", "scale = 1.0\nmean = [1.0, 2.0, 3.0]\n\n[output]")
    path.write_text(text + '\n[[states]]\ninput = "r1i"\noutput = "r1o"\nshape = [1, 16, 4, 4]\n')
    said = cli("models", "show", "remote")
    assert said.code == 0, said.err
    assert "address      https://models.example/remote.onnx" in said.out
    assert "values       (code * 1 - (1, 2, 3)) / 1" in said.out
    assert "state        r1i <- r1o 1x16x4x4" in said.out
