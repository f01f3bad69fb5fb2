"""Finding, fetching and verifying the weights of a card: nothing whose sha256 differs is handed out."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from streamseg.errors import ModelError, reason, redacted
from streamseg.models.card import ModelCard
from streamseg.models.files import cache_folder, search_folders, sha256, user_folder

_TIMEOUT = 30
"""Seconds a server may take to answer."""


def verified(card: ModelCard) -> Path:
    """Return the ONNX file of a card's weights, verified; fetched or converted first where need be.

    Looked for by file name next to the card, in the folders of `search_folders`, then at the card's url.
    Raises ModelError.
    """
    path = _verified_file(card)
    if path.suffix.lower() == ".onnx":
        return path
    from streamseg.models.importing import converted

    return _verified_file(converted(path))


def present(card: ModelCard) -> list[Path]:
    """Return the files that lie where a card's weights are looked for; none of them has been verified."""
    folders = [*([card.path] if card.path else []), *search_folders()]
    return [folder / card.weights for folder in folders if (folder / card.weights).is_file()]


def at_hand(card: ModelCard) -> bool:
    """Whether a card's weights are on this machine, in whatever state: nothing has to be fetched."""
    return bool(present(card)) or (_fetched_folder(card) / card.weights).is_file()


def _verified_file(card: ModelCard) -> Path:
    differing = None
    for path in present(card):
        found = _hash(card, path)
        if found == card.sha256:
            return path
        differing = differing or (path, found)
    if card.url:
        return _fetched(card, card.url)
    if differing:
        path, found = differing
        raise ModelError(
            f"weights {str(path)!r} of model {card.name!r} have sha256 {found}, expected {card.sha256}; "
            f"obtain them again: {card.source}"
        )
    raise ModelError(
        f"no weights {card.weights!r} for model {card.name!r}; put them into {str(user_folder())!r}; "
        f"they come from: {card.source}"
    )


def _hash(card: ModelCard, path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise ModelError(f"cannot read weights {str(path)!r} of {card.name!r}: {reason(error)}") from error


def _fetched(card: ModelCard, url: str) -> Path:
    """Return the cached file of a card's url, downloaded if it is not there yet."""
    import pooch

    folder = _fetched_folder(card)
    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(timeout=_TIMEOUT)
    try:
        file = pooch.retrieve(
            url, f"sha256:{card.sha256}", fname=card.weights, path=folder, downloader=downloader
        )
    except ValueError as error:  # pooch's word for another hash
        raise ModelError(
            f"weights of model {card.name!r} from {redacted(url)!r} are not the expected file "
            f"(sha256 {card.sha256}); nothing was kept"
        ) from error
    except OSError as error:
        response = getattr(error, "response", None)
        if response is not None:
            response.close()  # pooch leaves it open
        raise ModelError(
            f"cannot fetch the weights of model {card.name!r} from {redacted(url)!r}: {_why(error, url)}; "
            f"try again when online, or put {card.weights!r} into {str(user_folder())!r}"
        ) from error
    return Path(file)


def _fetched_folder(card: ModelCard) -> Path:
    return cache_folder() / "weights" / card.sha256[:16]


def _why(error: OSError, url: str) -> str:
    """Say in a few words what kept a file from being fetched; requests says it in several hundred."""
    import requests

    host = urlsplit(url).hostname
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"{host} answered {error.response.status_code} {error.response.reason}".lower()
    if isinstance(error, requests.Timeout):
        return f"{host} sent nothing for {_TIMEOUT} s"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the certificate of {host} was not accepted; is the clock right, or a proxy between?"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy let nothing through"
    if isinstance(error, requests.ConnectionError):
        unknown = "NameResolutionError" in repr(error) or "getaddrinfo" in repr(error)
        return f"no network (could not find host {host})" if unknown else f"no connection to {host}"
    return reason(error)
