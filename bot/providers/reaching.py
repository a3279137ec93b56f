"""Where requests to others may go, and sending one there: the address that is checked is the one that is used.

Proxies of the environment are not used, since they would look the name up themselves.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

CONNECT = 10.0  # seconds to connect to one address
SILENCE = 30.0  # seconds without a byte
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # an IPv4 address in its last bytes
TUNNELS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"))  # one somewhere else in it
CLOUDS = frozenset(  # where clouds keep credentials outside 169.254.0.0/16: AWS, Alibaba, Oracle, Azure
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"))
)
LOCAL = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("10.0.0.0/8"),
    ipaddress.ip_network("172.16.0.0/12"),
    ipaddress.ip_network("192.168.0.0/16"),
    ipaddress.ip_network("100.64.0.0/10"),
    ipaddress.ip_network("::1/128"),
    ipaddress.ip_network("fc00::/7"),
)


class Forbidden(Exception):
    """Nothing is sent there; the message says why."""


class Unreached(Exception):
    """There was no answer; the message says why."""


class NotTrusted(Exception):
    """Whoever answers can't prove to be who they must be; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send: a URL in its parts."""

    secure: bool
    host: str
    port: int
    path: str  # with the query

    @property
    def shown(self) -> str:
        """The part of the URL that may be seen: paths are often secret."""
        usual = self.port == (443 if self.secure else 80)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if usual else f"{host}:{self.port}"


def target(url: str, *, allow_private: bool = False) -> Target:
    """The parts of a URL. Raises ValueError, whose message says what is wrong with it, for one that can't be used."""
    if any(not "!" <= letter <= "~" for letter in url) or "\\" in url:
        raise ValueError("must be written in ASCII without spaces (a name as xn--…, the rest as %XX)")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("can't be read as an address") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must start with https:// and name a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password: the signature says who asks")
    if parts.fragment:
        raise ValueError("must not have a #fragment, which is never sent")
    if parts.scheme == "http" and not allow_private:
        raise ValueError("must start with https:// (http:// needs allow_private: true)")
    secure = parts.scheme == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    found = Target(secure, parts.hostname, port or (443 if secure else 80), path)
    try:
        literal = ipaddress.ip_address(found.host)
    except ValueError:
        return found
    if (why := forbidden(literal, allow_private=allow_private)) is not None:
        raise ValueError(f"names {literal}, {why}")
    return found


def forbidden(address: Address, *, allow_private: bool = False) -> str | None:
    """Why nothing is sent to an address; None where it may be."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return "an IPv4 address in disguise"
        if any(address in tunnel for tunnel in TUNNELS):
            return "the end of a tunnel"
        if address.is_site_local:
            return "a reserved address"
        if address in NAT64:
            return forbidden(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF), allow_private=False)
    if address in CLOUDS:
        return "an address where a cloud keeps credentials"
    if address.is_link_local:
        return "a link-local address, where clouds keep credentials"
    if address.is_multicast:
        return "a multicast address"
    if address.is_unspecified:
        return "no address"
    if any(address in network for network in LOCAL):
        return None if allow_private else "a loopback or private address (allow_private: true lets it)"
    return None if address.is_global and not address.is_reserved else "a reserved address"


def resolved(place: Target, *, allow_private: bool = False) -> list[str]:
    """The addresses of a host, each of which may be sent to. Raises Forbidden when one may not, Unreached when the
    name has none."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreached(f"{place.host} can't be looked up") from None
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    for text in addresses:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise Forbidden(f"{place.host} leads to {text}, which is no address") from None
        if (why := forbidden(address, allow_private=allow_private)) is not None:
            raise Forbidden(f"{place.host} leads to {text}, {why}")
    if not addresses:
        raise Unreached(f"{place.host} has no address")
    return addresses


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back: the status, headers by their lower-case names, and as much of the body as is read."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool


class Exchange:
    """One request, sent by a thread of its own, so that whoever waits for the answer can give up at any time.

    No redirect is followed, nothing is sent twice, and no more than `largest` bytes of the answer are read.
    """

    def __init__(
        self, place: Target, body: bytes, headers: Mapping[str, str], *, allow_private: bool, largest: int
    ) -> None:
        self._place = place
        self._body = body
        self._headers = headers
        self._allow_private = allow_private
        self._largest = largest
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._given_up = False
        self._result: Answered | Exception = Unreached("it was given up")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="exchange", daemon=True)
        self._thread.start()

    def done(self, seconds: float) -> bool:
        """Whether there is a result, which is waited for up to `seconds`."""
        return self._done.wait(seconds)

    def result(self) -> Answered:
        """The answer. Raises Forbidden, NotTrusted or Unreached."""
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    def give_up(self) -> None:
        """Breaks the connection. What was sent may have been taken."""
        with self._lock:
            self._given_up = True
            sock = self._connection.sock if self._connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            self._result = self._exchange()
        except (Forbidden, NotTrusted, Unreached) as error:
            self._result = error
        except (TimeoutError, urllib3.exceptions.TimeoutError):
            self._result = Unreached("it did not answer in time")
        except (OSError, ValueError, urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
            self._result = Unreached(f"the connection broke ({type(error).__name__})")
        except Exception as error:  # whatever it is, somebody waits for it
            self._result = error
        finally:
            if self._connection is not None:
                self._connection.close()
            self._done.set()

    def _exchange(self) -> Answered:
        connection = self._connected(resolved(self._place, allow_private=self._allow_private))
        with self._lock:
            if self._given_up:
                raise Unreached("it was given up")
        connection.request(
            "POST",
            self._place.path,
            body=self._body,
            headers={"Host": self._place.shown, "Accept-Encoding": "identity", **self._headers},
            preload_content=False,
            decode_content=False,
        )
        answer = connection.getresponse()
        parts, size = [], 0
        while size <= self._largest and (part := answer.read(min(65_536, self._largest + 1 - size))):
            parts.append(part)
            size += len(part)
        body = b"".join(parts)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Answered(answer.status, headers, body[: self._largest], size <= self._largest)

    def _connected(self, addresses: list[str]) -> HTTPConnection:
        """A connection to the first of the addresses that takes one."""
        problem: Exception = Unreached("no address")
        for address in addresses:
            connection = self._to(address)
            with self._lock:
                if self._given_up:
                    raise Unreached("it was given up")
                self._connection = connection
            try:
                connection.connect()
            except ssl.SSLCertVerificationError as error:
                raise NotTrusted(error.verify_message or "its certificate is not trusted") from None
            except (OSError, urllib3.exceptions.HTTPError) as error:
                connection.close()
                if isinstance(error.__cause__ or error.__context__, ssl.SSLCertVerificationError):
                    raise NotTrusted("its certificate is not trusted") from None
                problem = error
                continue
            connection.timeout = SILENCE
            if connection.sock is not None:
                connection.sock.settimeout(SILENCE)
            return connection
        refused = isinstance(problem, urllib3.exceptions.NewConnectionError)  # which counts as a timeout, too
        if not refused and isinstance(problem, urllib3.exceptions.TimeoutError):
            raise Unreached("it can't be connected to in time")
        raise Unreached("it can't be connected to")

    def _to(self, address: str) -> HTTPConnection:
        if not self._place.secure:
            return HTTPConnection(address, self._place.port, timeout=CONNECT)
        trusted = ssl.create_default_context()
        trusted.load_verify_locations(certifi.where())
        return HTTPSConnection(
            address,
            self._place.port,
            timeout=CONNECT,
            ssl_context=trusted,
            server_hostname=self._place.host,  # the name that the certificate must bear, whatever the address
        )
