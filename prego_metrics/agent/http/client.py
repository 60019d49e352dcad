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
import time
from collections.abc import Mapping

import requests
import urllib3

from prego_metrics import __version__
from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.redaction import WITHHELD, Secret
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.base.urls import is_loopback, redacted_urls
from prego_metrics.agent.http.bodies import codings_of, decompressed
from prego_metrics.agent.http.connection import Connection, CuttableAdapter, UnredirectedSession, causes_of
from prego_metrics.agent.http.deadline import within_deadline
from prego_metrics.agent.http.proxies import proxy_of
from prego_metrics.agent.light_typing import NamedTuple

MAX_BODY_BYTES = 64 * 1024
# The status code says what an answer means; its body is worth a moment, not the whole attempt.
BODY_SECONDS = 2.0
# Of a success only what it may say against itself is read. Half of what is left of an attempt at most: an answer
# that came just in time must not be lost while its body is waited for.
SUCCESS_BYTES = 4096
SUCCESS_SECONDS = 1.0
_CHUNK_BYTES = 512
_REASON_CHARACTERS = 200
_PROXY_ERRORS = (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)
_URL_ERRORS = (requests.exceptions.InvalidURL, urllib3.exceptions.LocationValueError)
_NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)


class Answer:
	"""What the server answered. body is decompressed, as far as it came; broken says why it is not whole."""

	def __init__(
		self, status_code: int, headers: Mapping[str, str], body: str, broken: Message | None = None
	) -> None:
		self.status_code = status_code
		self.headers = headers
		self.body = body
		self.broken = broken


class NoAnswer(NamedTuple):
	"""Why there is no answer. unclear: the request may have reached the server."""

	reason: Message
	unclear: bool


class Bearer(requests.auth.AuthBase):
	"""Puts the key, if there is one, into the request at the last moment, and shows nothing of it.

	An auth object also keeps a .netrc entry from adding the header or replacing it.
	"""

	def __init__(self, key: Secret | None) -> None:
		self._key = key

	def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
		if self._key:
			request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
		return request

	def __repr__(self) -> str:
		return "<bearer>"


class Client:
	"""Requests to one server: no redirects, no cookies kept, TLS verified, and to be cut off at any time.

	No reason for a missing answer shows the key, nor a path that is a secret. With `keep_alive`, connections are
	used again until `close`.
	"""

	def __init__(self, base_url: str, key: Secret | None = None, *, keep_alive: bool = False) -> None:
		self._connection = Connection()
		self._key = key
		self._keep_alive = keep_alive
		self._session = UnredirectedSession()
		self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
		adapter = CuttableAdapter(self._connection)
		self._session.mount("https://", adapter)
		self._session.mount("http://", adapter)
		# requests would hand a bearer for loopback to an HTTP_PROXY, in clear.
		host = urllib3.util.parse_url(base_url).host or ""
		# Hetzner's metadata service, on the link itself, is no proxy's to answer either.
		self._session.trust_env = not (is_loopback(host.strip("[]")) or host.startswith("169.254."))
		self._base_url = base_url
		self._safe_url = sanitize(base_url)
		self._proxy = proxy_of(base_url) if self._session.trust_env else None

	@property
	def unclear(self) -> bool:
		"""Whether the request under way may have reached the server."""
		return self._connection.reached

	def abandon(self) -> None:
		"""Cut off what is under way, and let nothing be sent from now on."""
		self._connection.abandon()

	def close(self) -> None:
		"""Close what `keep_alive` kept."""
		self._session.close()
		self._connection.end()

	def get(
		self,
		path: str | Secret,
		timeout_seconds: float,
		deadline_seconds: float | None = None,
		*,
		body_limit_bytes: int = MAX_BODY_BYTES,
		body_seconds: float = BODY_SECONDS,
	) -> Answer | NoAnswer:
		"""Do as `request` with GET, and end by `deadline_seconds` even where a resolver hangs. Default: the timeout."""
		deadline_seconds = deadline_seconds or timeout_seconds
		reply = within_deadline(
			lambda: self.request(
				"GET", path, timeout_seconds, body_limit_bytes=body_limit_bytes, body_seconds=body_seconds
			),
			self.abandon,
			deadline_seconds,
		)
		if isinstance(reply, Answer | NoAnswer):
			return reply
		return NoAnswer(reply or no_answer(self._safe_url, deadline_seconds), unclear=True)

	def request(
		self,
		method: str,
		path: str | Secret,
		timeout_seconds: float,
		body: bytes | None = None,
		*,
		headers: Mapping[str, str] | None = None,
		body_limit_bytes: int = MAX_BODY_BYTES,
		body_seconds: float = BODY_SECONDS,
	) -> Answer | NoAnswer:
		"""Send one request and return its answer, or why there is none, within `timeout_seconds`.

		Name resolution alone may take longer: bound the caller as well. At most `body_limit_bytes` of the answer
		are read, for at most `body_seconds`; of a 2xx to another method than GET, SUCCESS_BYTES for SUCCESS_SECONDS.
		"""
		if self._proxy and self._proxy.fault:
			return NoAnswer(self._proxy.failed(self._proxy.fault), unclear=False)
		headers = {
			"Accept": "application/json",
			"Accept-Encoding": "identity",
			"User-Agent": f"prego_metrics/{__version__}",
			**(headers or {}),
		}
		if body is not None:
			headers.setdefault("Content-Type", "application/json")
		secret = path if isinstance(path, Secret) else self._key
		ends_at = time.monotonic() + timeout_seconds
		try:
			self._connection.begin()
			with self._connection.limit(timeout_seconds):
				response = self._session.request(
					method,
					self._base_url + (path.reveal() if isinstance(path, Secret) else path),
					data=body,
					headers=headers,
					auth=Bearer(self._key),
					timeout=timeout_seconds,
					allow_redirects=False,
					stream=True,
					verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True,
				)
				with contextlib.closing(response):
					if self._connection.cut:
						# To http.client, headers that were cut off are headers that are complete.
						return NoAnswer(no_answer(self._safe_url, timeout_seconds), unclear=True)
					if method != "GET" and 200 <= response.status_code < 300:
						left_seconds = ends_at - time.monotonic()
						body_limit_bytes = min(SUCCESS_BYTES, body_limit_bytes)
						body_seconds = min(SUCCESS_SECONDS, body_seconds, max(0.0, left_seconds / 2))
					content, broken = self._read(response, body_limit_bytes, body_seconds, secret)
					return Answer(
						response.status_code,
						dict(response.headers.lower_items()),
						content.decode("utf-8", "surrogateescape"),
						broken,
					)
		except _NETWORK_ERRORS as error:
			return NoAnswer(self._reason(error, timeout_seconds, secret), self._connection.reached)
		finally:
			if not self._keep_alive:
				self.close()

	def _read(
		self, response: requests.Response, limit_bytes: int, limit_seconds: float, secret: Secret | None
	) -> tuple[bytes, Message | None]:
		"""Return the body within the limits, and why it is not whole."""
		content = bytearray()
		broken = None
		try:
			with self._connection.limit(limit_seconds):
				for chunk in response.raw.stream(_CHUNK_BYTES, decode_content=False):
					content += chunk
					if len(content) > limit_bytes:
						raise requests.RequestException(f"the answer is larger than {limit_bytes} bytes")
			if self._connection.cut:
				broken = no_answer(self._safe_url, limit_seconds)
		except _NETWORK_ERRORS as error:
			# What came until then is what there is: the status code stands.
			broken = self._reason(error, limit_seconds, secret)
		return self._decompressed(response, bytes(content[:limit_bytes]), limit_bytes, broken, secret)

	def _decompressed(
		self,
		response: requests.Response,
		content: bytes,
		limit_bytes: int,
		broken: Message | None,
		secret: Secret | None,
	) -> tuple[bytes, Message | None]:
		"""Return the body out of a compression that was not asked for, within the same limit."""
		codings = codings_of(response.headers.get("content-encoding"))
		if not codings or not content:
			return content, broken
		unfolded = decompressed(content, codings, limit_bytes + 1)
		if unfolded is None:
			names = sanitize(", ".join(codings), 80)
			return b"", coded("answer_compressed", coding=secret.excerpt(names) if secret else names)
		if len(unfolded) > limit_bytes:
			too_large = requests.RequestException(f"the answer is larger than {limit_bytes} bytes")
			broken = broken or self._reason(too_large, 0, secret)
		return unfolded[:limit_bytes], broken

	def _reason(self, error: BaseException, timeout_seconds: float, secret: Secret | None) -> Message:
		"""Say why there was no answer: the innermost cause, not the wrappings around it."""

		def excerpt(text: str) -> str:
			if self._proxy and self._proxy.echoes(text):
				return WITHHELD
			text = redacted_urls(text)
			return secret.excerpt(text, _REASON_CHARACTERS) if secret else sanitize(text, _REASON_CHARACTERS)

		if self._connection.cut:
			return no_answer(self._safe_url, timeout_seconds)
		url, causes = self._safe_url, causes_of(error)
		if self._proxy and (type(causes[-1]) is ValueError or isinstance(causes[-1], _URL_ERRORS)):
			# Their texts quote what stands in the place of a host or a port, which may be a password.
			return self._proxy.failed(coded("proxy_malformed"))
		if self._proxy and any(isinstance(cause, _PROXY_ERRORS) for cause in causes):
			strings = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
			return self._proxy.failed(excerpt(strings[-1] if strings else str(causes[-1])))
		for cause in causes:
			if isinstance(cause, ssl.SSLCertVerificationError):
				untrusted = coded("certificate_untrusted", reason=excerpt(cause.verify_message))
				return coded("tls_failed", url=url, reason=untrusted)
		for cause in causes:
			if isinstance(cause, socket.gaierror):
				return coded("name_unresolved", url=url, reason=cause.strerror)
			if isinstance(cause, ssl.SSLError):
				reason = getattr(cause, "reason", None) or " ".join(str(part) for part in cause.args)
				return coded("tls_failed", url=url, reason=excerpt(reason))
		# Before the time-outs: urllib3 1.x derives "connection refused" from its time-out.
		for cause in causes:
			is_timeout = isinstance(cause, TimeoutError)
			if isinstance(cause, OSError) and not is_timeout and cause.errno and cause.strerror:
				return coded("no_connection", url=url, reason=cause.strerror)
		for cause in causes:
			if isinstance(cause, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError):
				return no_answer(url, timeout_seconds)
		# urllib3 before 2.0 compares host names itself, with an error that is none of ssl's.
		is_tls = any(isinstance(cause, urllib3.exceptions.SSLError) for cause in causes)
		innermost = excerpt(str(causes[-1]) or type(causes[-1]).__name__)
		return coded("tls_failed" if is_tls else "no_connection", url=url, reason=innermost)


def no_answer(url: str, seconds: float) -> Message:
	"""Return that `url`, which is fit to show, did not answer in time."""
	return coded("no_answer", url=url, seconds=float(f"{seconds:.3g}"))
