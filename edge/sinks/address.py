"""Where a link goes, from its URL."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

PASSWORD_VARIABLE = "EDGE_PICK_PASSWORD"


class AddressError(ValueError):
    """The URL cannot be used; the message names the part and what to give instead."""


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a URL. `options`: those of its query. `host` is "" and `port` None where it has none."""

    scheme: str
    host: str
    port: int | None
    path: str
    user: str | None
    options: Mapping[str, str]

    @property
    def name(self) -> str:
        """The same for the same peer, whatever the options: what the outbox knows it by. No secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port is None else f':{self.port}'}{self.path}"

    def allow(self, *names: str) -> None:
        """AddressError if there are other options than these."""
        for name in self.options:
            if name not in names:
                there = f"there are {', '.join(names)}" if names else "there are none"
                raise AddressError(f"{self.name}: no option {name!r}; {there}")

    def must_have_host(self) -> None:
        """AddressError if there is none."""
        if not self.host:
            raise AddressError(f"{self.name}: no host in it; give {self.scheme}://HOST")

    def file(self, option: str) -> Path | None:
        """The file that an option names. AddressError if it cannot be read."""
        if option not in self.options:
            return None
        path = Path(self.options[option])
        if not os.access(path, os.R_OK):
            raise AddressError(f"{self.name}: {option}={path} cannot be read")
        return path

    def password(self) -> str | None:
        """From the file of the option "password-file", else from the environment; None where neither is."""
        path = self.file("password-file")
        if path and self.user is None:
            raise AddressError(f"{self.name}: a password-file wants a user: {self.scheme}://USER@{self.host}")
        return path.read_text().strip() if path else os.environ.get(PASSWORD_VARIABLE)


def parse_address(url: str) -> Address:
    """AddressError for what is no URL, and for a password in it: others see command lines."""
    shown = url.rpartition("@")[2]  # no password
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise AddressError(f"{shown}: not a URL such as mqtt://broker:1883 ({error})") from error
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise AddressError(f"{shown}: the port is not a number from 1 to 65535")
    if not parts.scheme:
        raise AddressError(f"{url}: not a URL such as mqtt://broker:1883")
    if parts.password is not None:
        raise AddressError(
            f"{parts.scheme}://{parts.hostname}: no passwords in URLs; give ?password-file=FILE, or "
            f"{PASSWORD_VARIABLE} in the environment"
        )
    return Address(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=port,
        path=unquote(parts.path),
        user=None if parts.username is None else unquote(parts.username),
        options=dict(parse_qsl(parts.query, keep_blank_values=True)),
    )


def tls_context(address: Address) -> ssl.SSLContext:
    """The peer must show a certificate of the option `ca`, or of a CA that this computer trusts, for its host
    name; `cert` and `key` are ours. AddressError for files that are none."""
    ca, cert, key = (address.file(option) for option in ("ca", "cert", "key"))
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert:
            context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise AddressError(f"{address.name}: ca, cert or key: {error}") from error
    return context
