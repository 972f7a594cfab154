"""Asking a server for a file, or for the rest of one, and reading what it says.

`requests` brings proxies and certificates from the environment (HTTPS_PROXY, NO_PROXY,
REQUESTS_CA_BUNDLE), and is imported here on first use.
"""

from __future__ import annotations

import email.utils
import re
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urljoin, urlsplit

from hpazoo.checkpoints.card_file import is_loopback
from hpazoo.errors import HpazooError
from hpazoo.version import VERSION

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 18
_REDIRECTS = (301, 302, 303, 307, 308)
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_MOST_REDIRECTS = 10
_SSL = re.compile(r"^\[[^\]]*\] | \(_ssl\.c:\d+\)$")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class SourceError(HpazooError):
    """A source is of no use; the next one may be."""


class TransferError(HpazooError):
    """A transfer failed in a way that may pass; `after` seconds, where the server says so."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class ChangedError(TransferError):
    """The part that is there is of another file; begin anew."""


class Waits(Protocol):
    """Seconds to wait for a connection, and for the next byte."""

    @property
    def connect(self) -> float: ...

    @property
    def stall(self) -> float: ...


class Reply:
    """What a server answers: which bytes of a file of which length follow."""

    def __init__(self, session: requests.Session, response: requests.Response, start: int) -> None:
        self._session = session
        self._response = response
        headers = response.headers
        self.start = 0
        self.total: int | None = None
        length = headers.get("Content-Length", "")
        self.ends_itself = "chunked" in headers.get("Transfer-Encoding", "").lower()
        """The last byte is marked, though their number is not known before."""
        if length.isascii() and length.isdigit() and not self.ends_itself:
            self.total = int(length)
        tag = headers.get("ETag", "")
        self.validator = tag if tag.startswith('"') else headers.get("Last-Modified", "")
        """Changes with the file: a strong ETag, or a date; empty without."""
        if response.status_code == 206:
            found = _RANGE.fullmatch(headers.get("Content-Range", ""))
            if not found or int(found[1]) != start:
                raise SourceError("answers with another part of the file than was asked for")
            self.start = start
            self.total = int(found[3]) if found[3] != "*" else None

    def read(self, where: str) -> bytes:
        """The next bytes, as soon as there are any; none at the end. `where` is for messages."""
        import requests
        import urllib3

        try:
            chunk = self._response.raw.read1(_CHUNK, decode_content=False)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise TransferError(f"stalled after {where}") from error
        except (urllib3.exceptions.HTTPError, requests.RequestException, OSError) as error:
            raise TransferError(f"the connection broke after {where}") from error
        return bytes(chunk or b"")

    def close(self) -> None:
        self._response.close()
        self._session.close()


def open_reply(url: str, start: int, validator: str, waits: Waits) -> Reply:
    """Ask for the bytes from `start` on; if the file is no longer the one with this validator, the
    server sends all of it.
    """
    import requests

    headers = {"User-Agent": f"hpazoo/{VERSION}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    session = requests.Session()
    # nothing of ~/.netrc is sent to anybody
    session.auth = _as_it_is
    try:
        response = _followed(session, url, headers, waits)
        _check_status(response, start)
        return Reply(session, response, start)
    except BaseException:
        session.close()
        raise


def _followed(
    session: requests.Session, url: str, headers: dict[str, str], waits: Waits
) -> requests.Response:
    """The answer at the end of all redirects, each of them checked."""
    check_address(url)
    for _ in range(_MOST_REDIRECTS + 1):
        response = _get(session, url, headers, waits)
        target = response.headers.get("Location")
        if response.status_code not in _REDIRECTS or not target:
            return response
        response.close()
        # a kept connection may be one that the server is just closing
        session.close()
        following = urljoin(url, target)
        check_address(following, before=url)
        url = following
    raise SourceError(f"sends from one address to the next, more than {_MOST_REDIRECTS} times")


def check_address(url: str, before: str = "") -> None:
    """Refuse all but https, and http to this computer; a redirect must not leave https."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise SourceError(f"'{url}' is no address: {error}") from error
    if parts.scheme == "https" and host:
        return
    if parts.scheme == "http" and is_loopback(host) and not before.startswith("https:"):
        return
    where = f"sends to {url}" if before else url
    raise SourceError(f"{where}: only https is fetched, not '{parts.scheme or 'a path'}'")


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _get(
    session: requests.Session, url: str, headers: dict[str, str], waits: Waits
) -> requests.Response:
    import requests
    import urllib3

    try:
        return session.get(
            url,
            headers=headers,
            timeout=(waits.connect, waits.stall),
            stream=True,
            allow_redirects=False,
        )
    except requests.exceptions.SSLError as error:
        raise SourceError(f"its certificate is not accepted: {_cause(error)}") from error
    except requests.exceptions.ProxyError as error:
        raise TransferError(f"the proxy does not answer: {_cause(error)}") from error
    except requests.exceptions.ConnectTimeout as error:
        raise TransferError(f"no connection within {waits.connect:.0f} s") from error
    except requests.exceptions.ReadTimeout as error:
        raise TransferError(f"no answer within {waits.stall:.0f} s") from error
    except requests.exceptions.ConnectionError as error:
        reason = getattr(error.args[0] if error.args else None, "reason", None)
        if isinstance(reason, urllib3.exceptions.NameResolutionError):
            raise SourceError(
                f"no connection: the name '{urlsplit(url).hostname}' is not known here (offline?)"
            ) from error
        raise TransferError(f"no connection: {_cause(error)}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise SourceError(f"cannot be asked: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    """The innermost cause in a few words; urllib3 wraps it several times."""
    seen: set[int] = set()
    inner: BaseException = error
    while id(inner) not in seen:
        seen.add(id(inner))
        wrapped = (getattr(inner, "reason", None), *inner.args, inner.__cause__)
        inner = next((one for one in wrapped if isinstance(one, BaseException)), inner)
    text = _SSL.sub("", getattr(inner, "strerror", None) or str(inner))
    return printable(text.rpartition(": ")[2])[:160] or type(inner).__name__


def printable(text: str) -> str:
    """What a server said, without what would move the cursor of a terminal."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _check_status(response: requests.Response, start: int) -> None:
    status, headers = response.status_code, response.headers
    if status in (200, 206) and not (status == 206 and not start):
        encoding = headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("identity", ""):
            raise SourceError(f"sends the file packed with {encoding}, which was not asked for")
        if headers.get("Content-Type", "").lower().startswith("text/html"):
            raise SourceError("answers with a web page instead of the file: a notice or a login")
        return
    said = f"{status} {printable(str(response.reason or ''))[:100]}".strip()
    if status == 416 and start:
        raise ChangedError(f"{said}: the file is not as long as it was")
    if status in _AGAIN:
        raise TransferError(f"answers {said}", _retry_after(headers.get("Retry-After", "")))
    raise SourceError(f"answers {said}")


def _retry_after(text: str) -> float | None:
    """Seconds, from seconds or a date; None if neither."""
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
