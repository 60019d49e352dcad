"""What of a URL is shown: no user, password, query or fragment, however malformed it is."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prego_metrics.agent.base.urls import is_loopback, redacted_url, redacted_urls, safe_url_parts


@pytest.mark.parametrize(
	("url", "shown"),
	[
		("https://plane.example/api", "https://plane.example/api"),
		("https://plane.example:8443", "https://plane.example:8443"),
		("http://[::1]:9/x", "http://[::1]:9/x"),
		("plane.example:443", "plane.example:443"),
		("http://h/?token=S", "http://h/?…"),
		("h?S", "h?…"),
		("http://h/#S", "http://h/#…"),
		("http://h?a#S", "http://h?…"),
		("http://u:S@h:1", "http://…@h:1"),
		("http://S@h", "http://…@h"),
		("u:S@h", "…@h"),
		("//u:S@h", "//…@h"),
		("http:/u:S@h", "http:/…@h"),
		("http://u:S@S@h", "http://…@h"),
		("http://u:S/S@h", "http://…@h"),
		("http://u:S#S@h", "http://…@h"),
		("http://u:S\nS@h", "http://…@h"),
		("http://u:S", "http://u:…"),
		("http://u:S/x", "http://u:…"),
		("http://u:12345678901", "http://u:…"),
		("http://u:4711", "http://u:…"),
		("http://u.example:123456", "http://u.example:…"),
		("http://12345678901", "http://…"),
		("http://localhost:3128", "http://localhost:3128"),
		("", ""),
	],
)
def test_a_url_is_shown_without_what_may_be_a_secret(url: str, shown: str) -> None:
	assert redacted_url(url) == shown


def test_each_url_in_a_sentence_is_shown_so() -> None:
	sentence = "Failed to parse: http://u:S@h:1, see 'https://x/y?z=S' and u:S@h at 12:30, a@b"
	assert redacted_urls(sentence) == (
		"Failed to parse: http://…@h:1, see 'https://x/y?…' and …@h at 12:30, a@b"
	)


SERVERS = st.text("ab1.-_:[]@%", max_size=12) | st.sampled_from(
	("[::1]", "[::1]:8", "127.0.0.1:80", "localhost")
)
PATHS = st.text("/?#@:.%2ea", max_size=8)


@given(
	st.sampled_from(("https", "HTTP", "ftp", "")), st.sampled_from(("://", ":/", ":", "//")), SERVERS, PATHS
)
@example("https", "://", "plane.example:443", "/api?x=1#y")
@example("http", "://", "[::1]:8080", "/api")
@example("https", "://", "plane.example:65536", "")
def test_a_url_that_is_used_leads_where_the_standard_library_says(
	scheme: str, separator: str, server: str, path: str
) -> None:
	url = f"{scheme}{separator}{server}{path}"
	parts = safe_url_parts(url)
	if parts is not None:
		known = urlsplit(url)
		assert parts == (known.scheme, known.netloc, known.path)
		assert known.hostname and known.port != 0 and known.username is None
		assert known.scheme == "https" or (known.scheme == "http" and is_loopback(known.hostname))


@pytest.mark.parametrize(
	"server", ["h", "a.b-c_d.example.", "[::1]:1", "127.0.0.1:65535", "h:", "1.2.3.4", "a" * 63]
)
def test_a_host_and_a_port_as_people_write_them_are_used(server: str) -> None:
	assert safe_url_parts(f"https://{server}/x") == ("https", server, "/x")


@pytest.mark.parametrize(
	"server",
	[
		*("", "-h", "h-", "h..x", "h:0", "h:65536", "h:x", "h:8:8", "u@h", "[::1", "x[::1]", "[::1]x"),
		*("[1.2.3.4]", "[fe80::1%lo]", "a" * 64, ".".join(["a" * 62] * 5), "_", "."),
	],
)
def test_what_is_no_host_or_port_is_not_used(server: str) -> None:
	assert safe_url_parts(f"https://{server}/x") is None
