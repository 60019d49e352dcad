"""One HTTP request and its answer, within a time limit that holds whatever the other side does.

requests bounds each read of a socket, not their sum: a server that sends a byte a second is never too
late. So a watchdog shuts the connection down when the time for an attempt is over, and the caller may
abandon the whole client: whatever it was doing (a resolver that hangs cannot be interrupted), it then
sends nothing more.

requests is imported here, and only when something is sent.
"""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import requests
import urllib3

from prego_metrics import __version__
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.secrets import Secret
from prego_metrics.agent.base.urls import is_loopback
from prego_metrics.agent.http.connection import Connection, CuttableAdapter

MAX_ANSWER_BYTES = 64 * 1024
# The status code says what an answer means; its words are worth a moment, not the whole attempt.
WORDS_SECONDS = 2.0
_CHUNK_BYTES = 512
_REASON_SHOWN = 200


@dataclass(frozen=True)
class Answer:
	"""What the server said. words is raw, as far as it came."""

	status_code: int
	headers: Mapping[str, str]
	words: str = field(repr=False)


@dataclass(frozen=True)
class NoAnswer:
	"""Why there is none. unclear: the request may have reached the server."""

	reason: Message
	unclear: bool


class Bearer(requests.auth.AuthBase):
	"""Puts the key into the request at the last moment, and shows nothing of it.

	An auth object also keeps a .netrc entry from replacing the header.
	"""

	def __init__(self, key: Secret) -> None:
		self._key = key

	def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
		request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
		return request

	def __repr__(self) -> str:
		return "<bearer>"


class Client:
	"""Exchanges with one server: no redirects, no cookies kept, TLS verified, and to be cut off at any time.

	No reason for a missing answer shows the key, nor `hidden`.
	"""

	def __init__(self, base_url: str, key: Secret | None = None, *, hidden: Secret | None = None) -> None:
		self._connection = Connection()
		self._auth = Bearer(key) if key else _NoAuth()
		self._hidden = hidden or key
		self._session = requests.Session()
		self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
		adapter = CuttableAdapter(self._connection)
		self._session.mount("https://", adapter)
		self._session.mount("http://", adapter)
		# requests would hand a bearer for loopback to an HTTP_PROXY, in clear.
		host = urllib3.util.parse_url(base_url).host or ""
		# Hetzner's metadata service, on the link itself, is no proxy's to answer either.
		self._session.trust_env = not (is_loopback(host.strip("[]")) or host.startswith("169.254."))
		self._base_url = base_url
		self._shown_url = sanitize(base_url)

	@property
	def unclear(self) -> bool:
		"""Whether the exchange under way may have reached the server."""
		return self._connection.reached

	def abandon(self) -> None:
		"""Cut off what is under way, and let nothing be sent from now on."""
		self._connection.abandon()

	def request(
		self,
		method: str,
		path: str,
		timeout_seconds: float,
		body: bytes | None = None,
		*,
		words_of_success: bool = False,
		words_bytes: int = MAX_ANSWER_BYTES,
		words_seconds: float = WORDS_SECONDS,
	) -> Answer | NoAnswer:
		"""Send one request and return its answer, or why there is none, within `timeout_seconds`.

		Name resolution alone may take longer: bound the caller as well. At most `words_bytes` of an answer
		are read, for at most `words_seconds`; the body of a 2xx is not waited for, unless
		`words_of_success` asks for it.
		"""
		headers = {
			"Accept": "application/json",
			"Accept-Encoding": "identity",
			"User-Agent": f"prego_metrics/{__version__}",
		}
		if body is not None:
			headers["Content-Type"] = "application/json"
		try:
			self._connection.begin()
			with self._connection.limit(timeout_seconds):
				response = self._session.request(
					method,
					self._base_url + path,
					data=body,
					headers=headers,
					auth=self._auth,
					timeout=timeout_seconds,
					allow_redirects=False,
					stream=True,
					verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True,
				)
				with contextlib.closing(response):
					if self._connection.cut:
						# To http.client, headers that were cut off are headers that are complete.
						return NoAnswer(no_answer(self._shown_url, timeout_seconds), unclear=True)
					wanted = words_of_success or not 200 <= response.status_code < 300
					words = self._words(response, words_bytes, words_seconds) if wanted else ""
					return Answer(response.status_code, dict(response.headers.lower_items()), words)
		except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
			if self._connection.cut:
				return NoAnswer(no_answer(self._shown_url, timeout_seconds), self._connection.reached)
			reason = why_no_answer(error, self._shown_url, timeout_seconds, self._shown)
			return NoAnswer(reason, self._connection.reached)
		finally:
			self._session.close()
			self._connection.end()

	def _shown(self, text: str) -> str:
		return self._hidden.excerpt(text, _REASON_SHOWN) if self._hidden else sanitize(text, _REASON_SHOWN)

	def _words(self, response: requests.Response, limit_bytes: int, limit_seconds: float) -> str:
		words = bytearray()
		try:
			with self._connection.limit(limit_seconds):
				for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
					words += chunk
					if len(words) >= limit_bytes:
						break
		except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError):
			pass  # what came until then is what there is: the status code stands
		return words[:limit_bytes].decode("utf-8", "surrogateescape")


class _NoAuth(requests.auth.AuthBase):
	"""Adds nothing; being there, it keeps .netrc out."""

	def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
		return request


def no_answer(url: str, seconds: float) -> Message:
	"""Return that `url`, which is fit to show, did not answer in time."""
	return coded("no_answer", url=url, seconds=float(f"{seconds:.3g}"))


def why_no_answer(
	error: BaseException, url: str, timeout_seconds: float, shown: Callable[[str], str]
) -> Message:
	"""Say in a few words why there was no answer from `url`: the innermost cause, not the wrappings around it.

	`shown` makes what the other side may have had a hand in fit to show.
	"""
	causes = _causes(error)
	for cause in causes:
		if isinstance(cause, ssl.SSLCertVerificationError):
			untrusted = coded("certificate_untrusted", reason=shown(cause.verify_message))
			return coded("tls_failed", url=url, reason=untrusted)
	for cause in causes:
		if isinstance(cause, socket.gaierror):
			return coded("name_unresolved", url=url, reason=cause.strerror)
		if isinstance(cause, ssl.SSLError):
			return coded("tls_failed", url=url, reason=shown(cause.reason or str(cause)))
	# Before the time-outs: urllib3 1.x derives "connection refused" from its time-out.
	for cause in causes:
		if (
			isinstance(cause, OSError)
			and not isinstance(cause, TimeoutError)
			and cause.errno
			and cause.strerror
		):
			return coded("no_connection", url=url, reason=cause.strerror)
	for cause in causes:
		if isinstance(cause, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError):
			return no_answer(url, timeout_seconds)
	# urllib3 before 2.0 compares host names itself, with an error that is none of ssl's.
	is_tls = any(isinstance(cause, urllib3.exceptions.SSLError) for cause in causes)
	last = shown(str(causes[-1]) or type(causes[-1]).__name__)
	code = "tls_failed" if is_tls else "no_connection"
	return coded(code, url=url, reason=last)


def _causes(error: BaseException) -> list[BaseException]:
	"""Return an error and all that it wraps, outermost first."""
	found: list[BaseException] = []
	waiting: list[object] = [error]
	while waiting and len(found) < 20:
		cause = waiting.pop(0)
		if isinstance(cause, BaseException) and cause not in found:
			found.append(cause)
			waiting += [getattr(cause, "reason", None), cause.__cause__, cause.__context__, *cause.args]
	return found
