"""What of a URL is shown: no user, password, query or fragment, however malformed it is."""

from __future__ import annotations

import pytest

from prego_metrics.agent.base.urls import redacted_url, redacted_urls


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
