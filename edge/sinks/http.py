"""`http[s]://…`: batches of picks by POST, as JSON lines; delivered is what is answered by 2xx."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote

from edge.sinks.address import Address, tls_context
from edge.sinks.link import Letter, Link, LinkError, NotTakenError

_TIMEOUT_S = 30.0
_REASON_MAX = 80


class HttpLink(Link):
    """The body is application/x-ndjson, a pick a line. Its header Idempotency-Key is the same for the same
    picks, however often they are sent."""

    batch = 100

    def __init__(self, address: Address) -> None:
        """AddressError for options that cannot be used."""
        address.allow("ca", "cert", "key", "password-file")
        address.must_have_host()
        self._address = address
        self._tls = tls_context(address) if address.scheme == "https" else None
        self._headers = {"Content-Type": "application/x-ndjson"}
        if address.user is not None:
            login = b64encode(f"{address.user}:{address.password() or ''}".encode()).decode()
            self._headers["Authorization"] = f"Basic {login}"

    def deliver(self, letters: Sequence[Letter]) -> int:
        body = b"".join(letter.data + b"\n" for letter in letters)
        keys = "".join(f"{letter.pick.id}/{letter.pick.update} " for letter in letters)
        headers = {**self._headers, "Idempotency-Key": hashlib.sha256(keys.encode()).hexdigest()[:32]}
        try:
            with closing(self._connection()) as connection:
                connection.request("POST", quote(self._address.path or "/"), body, headers)
                answer = connection.getresponse()
        except HTTPException as error:
            raise LinkError(f"no answer that is HTTP ({type(error).__name__})") from error
        if not 200 <= answer.status < 300:
            raise NotTakenError(f"answered {answer.status} {answer.reason[:_REASON_MAX]}")
        return len(letters)

    def _connection(self) -> HTTPConnection:
        host, port = self._address.host, self._address.port
        if self._tls:
            return HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=self._tls)
        return HTTPConnection(host, port, timeout=_TIMEOUT_S)
