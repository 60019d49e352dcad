"""What an answer means: is it the control plane's, about this node, and does it say that it worked?

A status code alone is no evidence. A host of static files, a captive portal or a firewall answers for the control
plane too, and an API may say in JSON that it failed. What the shape of a good answer is, is not published: anything
that says nothing against itself is good.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.redaction import Secret
from prego_metrics.agent.http.client import Answer
from prego_metrics.agent.light_typing import Any

# Compiled when they are used: a good answer needs none of them.
# Before the first tag of a document there may be spaces, a byte order mark and comments.
_MARKUP = (
	r"(?is)(?:\s|\ufeff|<!--.*?(?:-->|\Z)|<\?xml.*?(?:\?>|\Z))*"
	r"<(?:!doctype\s+html|html|head|title|body|meta|link|script|style|center|h[1-6]|div|p)\b"
)
_TITLE = r"(?is)<title\b[^>]*>(.*?)(?:</title|\Z)"
# The numbers with which Cloudflare refuses a request itself: 1010, 1020 and the like.
_EDGE_CODE = r"(?i)\s*error(?: code)?:? *1\d{3}\b"
_LOGIN = (
	r"(?i)^(?:https?:)?//[^/]*(?:\.cloudflareaccess\.com(?:[:/?]|$)|/(?:cdn-cgi/access"
	r"|[^?#]*\b(?:log-?in|sign-?in|sso|saml2?|oauth2?|authorize)\b))"
)
_CODES = {404: "node_unknown", 407: "proxy_refused", 429: "rate_limited"}
_HTML_TYPES = ("text/html", "application/xhtml+xml")


def fault_in(answer: Answer, secret: Secret, node_id: str | None = None) -> Message | None:
	"""Return what is wrong with an answer, with the server's own words; None if it is a success.

	`secret` is what the words must not show. With `node_id`, a success that names only other nodes is wrong too.
	"""
	if not 200 <= answer.status_code < 300:
		return refusal_of(answer, secret)
	content = content_of(answer.body)
	members = content if isinstance(content, dict) else {}
	code = None
	if is_html(answer):
		code = "not_the_api"
	elif _says_it_failed(members):
		code = "reported_failure"
	elif node_id is not None and (named := node_ids_in(content)) and node_id not in named:
		code = "other_node"
	return coded(code, answer=summary_of(answer, secret)) if code else None


def refusal_of(answer: Answer, secret: Secret) -> Message:
	"""Return what is wrong with an answer other than 2xx."""
	code, summary = error_code(answer), summary_of(answer, secret)
	place = secret.excerpt(_leads_to(answer), 200)
	if code == "login_required":
		return coded(code, host=place, answer=summary)
	if code == "redirected" and place:
		summary = coded("answer_leads_to", answer=summary, place=place)
	return coded(code, answer=summary)


def error_code(answer: Answer) -> str:
	"""Return the code of what is wrong, for an answer other than 2xx."""
	status_code = answer.status_code
	code = "server_error" if status_code == 408 or 500 <= status_code < 600 else "payload_refused"
	if status_code in (401, 403):
		code = "key_refused"
	elif 300 <= status_code < 400:
		return "login_required" if re.search(_LOGIN, answer.headers.get("location", "")) else "redirected"
	elif status_code in _CODES:
		return _CODES[status_code]
	if "cf-mitigated" in answer.headers:
		return "edge_refused"
	# A Worker's own plain text comes from the same edge: only what no API says is the edge's.
	is_edge = code != "server_error" and (is_html(answer) or re.match(_EDGE_CODE, answer.body))
	return "edge_refused" if is_edge else code


def summary_of(answer: Answer, secret: Secret) -> object:
	"""Return status code and, where there are any, the server's words, fit to show: of a web page its title."""
	summary: str = secret.excerpt(_title_of(answer.body) if is_html(answer) else answer.body)
	if not summary and answer.broken and answer.broken.code == "answer_compressed":
		summary = answer.broken
	return (
		coded("answer_says", status_code=answer.status_code, words=summary) if summary else answer.status_code
	)


def is_html(answer: Answer) -> bool:
	"""Tell whether an answer is a web page, by its content or, unless that is JSON, by what it is called.

	No page is what has no content and ends properly: frameworks call nothing HTML.
	"""
	if "<" in answer.body and re.match(_MARKUP, answer.body):
		return True
	kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
	if kind not in _HTML_TYPES or not (answer.body.strip() or answer.broken):
		return False
	return content_of(answer.body) is None


def content_of(body: str) -> object:
	"""Return the JSON in a body, None if there is none; of an object that is cut off, the members that came."""
	body = body.lstrip("\ufeff \t\r\n")
	try:
		return json.loads(body, strict=False)
	except RecursionError:
		return _first_members(body)
	except ValueError:
		return _first_members(body) or None


def _first_members(text: str) -> dict[str, Any]:
	decoder = json.JSONDecoder(strict=False)
	members: dict[str, Any] = {}
	name = re.compile(r"\s*[{,]\s*(\"(?:[^\"\\]|\\.)*\")\s*:\s*")
	position = 0
	with contextlib.suppress(ValueError, RecursionError):
		while match := name.match(text, position):
			members[decoder.decode(match[1])], position = decoder.raw_decode(text, match.end())
	return members


def node_ids_in(value: object) -> set[str]:
	"""Return every node_id that JSON holds, wherever in it: the exact shape is not published."""
	return {node_id for node in objects_in(value) if isinstance(node_id := node.get("node_id"), str)}


def objects_in(value: object) -> Iterator[Mapping[str, Any]]:
	"""Yield every object in JSON, outermost first."""
	waiting = [value]
	while waiting:
		value = waiting.pop(0)
		if isinstance(value, dict):
			yield value
			waiting += value.values()
		elif isinstance(value, list):
			waiting += value


def _says_it_failed(members: Mapping[str, Any]) -> bool:
	said = [members[name] for name in ("success", "ok") if name in members]
	# SQLite knows no false, only 0.
	if any(value == 0 or str(value).lower() == "false" for value in said if value is not None):
		return True
	return any(members.get(name) for name in ("error", "errors"))


def _title_of(page: str) -> str:
	import html

	title = re.search(_TITLE, page)
	return " ".join(html.unescape(title[1]).split()) if title else ""


def _leads_to(answer: Answer) -> str:
	"""Return the host that a redirect leads to, or on the same host the path: what follows may hold a token."""
	try:
		location = urlsplit(answer.headers.get("location", ""))
	except ValueError:
		return ""
	return location.netloc.rpartition("@")[2] or location.path
