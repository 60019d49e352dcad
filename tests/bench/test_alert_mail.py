"""The alert as mail: the Notification that the app brings, enabled, and what arrives at a mail server.

Needs a bench, see real_bench.py, and aiosmtpd (the extra bench-test). The mail server listens on loopback; the
site gets an outgoing Email Account for it, and loses it afterwards, with all that was written and queued.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
import socket
import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import real_bench
from real_bench import BENCH, KEY, NODE_ID, SITE, changed, in_site, site_config

from prego_metrics.sandbox.server import LocalControlPlane

controller = pytest.importorskip("aiosmtpd.controller", reason="no aiosmtpd: pip install '.[bench-test]'")
pytestmark = pytest.mark.bench

ENGLISH, KOREAN = "english@mail.test", "korean@mail.test"
# Not named as ours: Frappe keeps what is deleted, and nothing that names us may stay after uninstalling.
ACCOUNT = "Tests of the Alert"
ALERT = "Prego Metrics Alert"
HOSTILE = "<svg onload=alert(1)>"
WAIT_SECONDS = 30


class MailServer:
	"""A mail server on loopback that keeps what it is given."""

	def __init__(self) -> None:
		self.arrived: list[EmailMessage] = []
		# aiosmtpd itself takes no 0 for any port that is free.
		with socket.create_server(("127.0.0.1", 0)) as free:
			self.port = free.getsockname()[1]
		self.start()

	async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:
		message = email.message_from_bytes(envelope.content, policy=email.policy.default)
		assert isinstance(message, EmailMessage)
		message["X-Recipients"] = ",".join(envelope.rcpt_tos)
		self.arrived.append(message)
		return "250 OK"

	def stop(self) -> None:
		self.server.stop()

	def start(self) -> None:
		self.server = controller.Controller(self, hostname="127.0.0.1", port=self.port)
		self.server.start()

	def to(self, address: str) -> list[EmailMessage]:
		return [one for one in self.arrived if address in one["X-Recipients"]]


FORGET = f"""
for account in frappe.get_all("Email Account", {{"name": {ACCOUNT!r}}}, pluck="name"):
	frappe.delete_doc("Email Account", account, force=True, ignore_permissions=True)
queued = frappe.get_all("Email Queue", {{"reference_doctype": "Prego Metrics Push"}}, pluck="name")
frappe.db.delete("Email Queue Recipient", {{"parent": ("in", queued or [""])}})
frappe.db.delete("Email Queue", {{"name": ("in", queued or [""])}})
told = frappe.get_all("Communication", {{"reference_doctype": "Prego Metrics Push"}}, pluck="name")
frappe.db.delete("Communication Link", {{"parent": ("in", told or [""])}})
frappe.db.delete("Communication", {{"name": ("in", told or [""])}})
frappe.db.delete("Error Log", {{"reference_doctype": ("in", ["Notification", "Email Queue"])}})
frappe.db.set_value("Notification", {ALERT!r}, "enabled", 0)
frappe.clear_cache(doctype="Prego Metrics Push")
"""


@pytest.fixture(scope="module")
def mails() -> Iterator[MailServer]:
	"""A mail server that the site mails by, with the alert enabled, for an English and a Korean manager."""
	server = MailServer()
	for address, language in ((ENGLISH, "en"), (KOREAN, "ko")):
		real_bench.make_user(SITE, address, "System Manager")
		in_site(SITE, f"frappe.db.set_value('User', {address!r}, 'language', {language!r})")
	account = {
		"doctype": "Email Account",
		"email_account_name": ACCOUNT,
		"email_id": "node@mail.test",
		"enable_outgoing": 1,
		"default_outgoing": 1,
		"smtp_server": "127.0.0.1",
		"smtp_port": server.port,
		"no_smtp_authentication": 1,
	}
	try:
		# A bench for tests may mute its mails, and name a mail server in place of an account.
		with changed(site_config(SITE), mute_emails=0, mail_server=""):
			in_site(SITE, f"{FORGET}\nfrappe.get_doc({account!r}).insert()")
			in_site(SITE, f"frappe.get_doc('Notification', {ALERT!r}).update({{'enabled': 1}}).save()")
			yield server
	finally:
		in_site(SITE, FORGET)
		for address in (ENGLISH, KOREAN):
			real_bench.delete_user(SITE, address)
		server.stop()


@pytest.fixture
def node(mails: MailServer) -> Iterator[dict[str, Any]]:
	"""A node whose pushes are delivered, and whose settings these are."""
	with LocalControlPlane(KEY) as plane, real_bench.key_file() as path:
		plane.store.register_node(NODE_ID, "eu", "127.0.0.1")
		settings = {
			"node_id": NODE_ID,
			"control_plane_url": plane.url,
			"api_key_file": path,
			"site": SITE,
			"scheduler_pushes": False,
			"alert_after": 1,
		}
		with real_bench.configured(**settings):
			real_bench.bench("prego-metrics", "push")
			tick_and_flush()
			mails.arrived.clear()
			yield settings
			Path(path).write_text(f"{KEY}\n")
			real_bench.bench("prego-metrics", "push")
			tick_and_flush()


def tick() -> None:
	real_bench.execute(SITE, "prego_metrics.prego_push.push_if_due")


def tick_and_flush() -> None:
	"""What Frappe's scheduler runs: our tick, and, every few minutes, its queue of mails."""
	tick()
	real_bench.execute(SITE, "frappe.email.queue.flush")


def push_that_fails(node: dict[str, Any]) -> None:
	Path(node["api_key_file"]).write_text("not-the-key-at-all\n")
	with pytest.raises(AssertionError, match="refuses the key"):
		real_bench.bench("prego-metrics", "push")


def arrive(mails: MailServer, address: str, count: int = 1) -> EmailMessage:
	"""Return the newest mail to this address, once there are so many; the site's own worker may send it."""
	give_up_at = time.monotonic() + WAIT_SECONDS
	while len(mails.to(address)) < count:
		assert time.monotonic() < give_up_at, f"{len(mails.to(address))} mails to {address}, not {count}"
		real_bench.execute(SITE, "frappe.email.queue.flush")
	assert len(mails.to(address)) == count
	return mails.to(address)[-1]


def parts(mail: EmailMessage) -> tuple[str, str]:
	"""Return a mail's text, its lines joined, and its HTML."""
	text, html = mail.get_body(("plain",)), mail.get_body(("html",))
	assert text is not None
	assert html is not None
	return " ".join(text.get_content().split()), html.get_content()


def found(code: str) -> Any:
	"""What an expression is on the site."""
	return json.loads(in_site(SITE, f"print(frappe.as_json({code}, indent=None))").splitlines()[-1])


def newest(doctype: str, *fields: str, **filters: object) -> Any:
	return found(f"frappe.get_all({doctype!r}, {filters!r}, {fields!r}, order_by='creation desc', limit=1)")


def test_failure_and_recovery_arrive_once_each_in_the_language_of_who_reads_them(
	mails: MailServer, node: dict[str, Any]
) -> None:
	push_that_fails(node)
	tick_and_flush()
	for address, title, sentence in (
		(ENGLISH, f"Node {NODE_ID}: pushes are failing", "Pushes have failed since "),
		(KOREAN, f"노드 {NODE_ID}: 푸시가 실패하고 있습니다", "부터 푸시가 실패하고 있습니다(푸시 1회)"),
	):
		mail = arrive(mails, address)
		text, html = parts(mail)
		assert mail["Subject"] == title
		for shown in (text, html):
			assert sentence in " ".join(shown.split())
			assert f"({found('frappe.utils.get_system_timezone()')})" in shown
			assert re.search(rf"https?://{SITE}(:\d+)?/(app|desk)/prego-node", shown)
		for other in (ENGLISH, KOREAN):
			assert other == address or other not in str(mail)
		assert KEY not in str(mail) + text + html
	tick_and_flush()
	arrive(mails, ENGLISH, 1)
	Path(node["api_key_file"]).write_text(f"{KEY}\n")
	real_bench.bench("prego-metrics", "push")
	tick_and_flush()
	assert arrive(mails, ENGLISH, 2)["Subject"] == f"Node {NODE_ID}: pushes are delivered again"
	assert arrive(mails, KOREAN, 2)["Subject"] == f"노드 {NODE_ID}: 푸시가 다시 전달됩니다"


def test_what_others_named_is_text_in_a_mail_and_no_markup(mails: MailServer, node: dict[str, Any]) -> None:
	with real_bench.configured(**{**node, "benches": [f"/{HOSTILE}/*"]}):
		with pytest.raises(AssertionError, match="matches no folder"):
			real_bench.bench("prego-metrics", "push")
		tick_and_flush()
		text, html = parts(arrive(mails, ENGLISH))
	assert HOSTILE not in html
	assert "&lt;svg onload=" in html
	assert "onload" in text


def test_with_the_mail_server_down_all_else_is_told_and_the_mail_comes_later(
	mails: MailServer, node: dict[str, Any]
) -> None:
	mails.stop()
	push_that_fails(node)
	before = time.monotonic()
	tick()
	assert time.monotonic() - before < 15
	title = f"Node {NODE_ID}: pushes are failing"
	(told,) = newest("Notification Log", "name", "subject", for_user=ENGLISH)
	assert told["subject"] == title
	(logged,) = newest("Error Log", "method", method=f"Prego Metrics: {title}")
	assert logged
	give_up_at = time.monotonic() + WAIT_SECONDS
	queued: dict[str, Any] = {}
	while not queued.get("error"):  # 17 sends no mail that is younger than ten seconds
		assert time.monotonic() < give_up_at, f"not tried: {queued}"
		real_bench.execute(SITE, "frappe.email.queue.flush")
		(queued,) = newest("Email Queue", "status", "error", reference_doctype="Prego Metrics Push")
	assert queued["status"] == "Not Sent"
	assert "Connection" in queued["error"] or "Email Account" in queued["error"]
	assert mails.arrived == []
	mails.start()
	assert arrive(mails, ENGLISH)["Subject"] == title


def test_without_an_email_account_the_log_of_the_bench_says_that_nothing_was_mailed_and_where_why_is(
	mails: MailServer, node: dict[str, Any]
) -> None:
	log = Path(BENCH) / "logs" / "prego_metrics.log"
	# A new bench has no such log yet.
	lines_before = log.read_text(errors="replace").count("was not mailed") if log.exists() else 0
	in_site(SITE, f"frappe.db.set_value('Email Account', {ACCOUNT!r}, 'enable_outgoing', 0)")
	in_site(SITE, f"frappe.db.set_value('Email Account', {ACCOUNT!r}, 'default_outgoing', 0)")
	try:
		push_that_fails(node)
		tick()
		tick()
		(swallowed,) = newest("Error Log", "method", "error", reference_name=ALERT)
		assert swallowed["method"] == "Failed to send Notification"
		assert KEY not in swallowed["error"]
		assert log.read_text(errors="replace").count("was not mailed") == lines_before + 1
		assert "failing was not mailed: see the Error Log of 'Prego Metrics Alert'" in log.read_text()
		(told,) = newest("Notification Log", "subject", for_user=ENGLISH)
		assert told["subject"] == f"Node {NODE_ID}: pushes are failing"
	finally:
		in_site(SITE, f"frappe.db.set_value('Email Account', {ACCOUNT!r}, 'enable_outgoing', 1)")
		in_site(SITE, f"frappe.db.set_value('Email Account', {ACCOUNT!r}, 'default_outgoing', 1)")
