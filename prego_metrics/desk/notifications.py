"""Tell people what happened to the node: once by each means, on the operator's site alone.

Each means stands alone: one that fails is logged and tried again at the next tick, and holds up no other.
None of it needs Redis or a mail server: rows are written, and what is queued is sent by Frappe later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import frappe
from frappe.desk.doctype.notification_settings.notification_settings import is_notifications_enabled
from frappe.email.doctype.notification.notification import Notification, evaluate_alert
from frappe.model.document import Document
from frappe.translate import print_language
from frappe.utils import format_datetime, get_system_timezone, get_url_to_form
from frappe.utils.user import get_system_managers

from prego_metrics.agent.alerts import messages as events
from prego_metrics.agent.alerts.receipts import node_id_of_pushes, take_unsent, withdraw_receipt
from prego_metrics.agent.base.messages import translated
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.events import GOOD_NEWS, AlertEvent
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.desk.adapters.site_text import local_time, translator
from prego_metrics.desk.push_log import DOCTYPE

ERROR_TITLE = "Prego Metrics"
REALTIME_EVENT = "prego_node_changed"
# The event of the email Notification that this app brings: it happens to the push that made the transition.
EMAIL_EVENT = "prego_tell"


class NotMailed(Exception):
	"""Frappe could not send a Notification, and wrote why into the site's Error Log; the message names it.

	It may have been sent in part (to Slack, say), so it is not tried again.
	"""


def tell(folder: StateFolder, config: Config, log: Callable[[str], None]) -> None:
	"""Tell what was not told yet; `log` takes what went wrong with it. Never raises."""
	shown = replace(config, node_id=node_id_of_pushes(folder, folder.read()[0], config))
	for channel, means in MEANS.items():
		for event in take_unsent(folder, channel, config):
			try:
				means(event, shown)
				# The claim stands in a file: what was told must not be rolled back with what comes after it.
				frappe.db.commit()  # nosemgrep
			except NotMailed as error:
				frappe.db.commit()  # nosemgrep: the Error Log that Frappe wrote
				log(f"{event.kind} was not mailed: {error}")
			except Exception as error:  # noqa: BLE001 whatever it is, the push must not suffer
				withdraw_receipt(folder, channel, event)
				_roll_back()
				log(f"{event.kind} was not told by {channel}: {type(error).__name__}")


def recipients() -> list[str]:
	"""Return the users who may see the node: the enabled System Managers, and Administrator."""
	return sorted({"Administrator", *get_system_managers(only_name=True)})


def _notify(event: AlertEvent, config: Config) -> None:
	for user in recipients():
		if is_notifications_enabled(user):
			title, text = _sentences(event, config, _language("User", user))
			frappe.get_doc(
				{
					"doctype": "Notification Log",
					"type": "Alert",
					"for_user": user,
					"from_user": "Administrator",
					"subject": frappe.utils.escape_html(title),
					"email_content": frappe.utils.escape_html(text),
					"document_type": DOCTYPE,
					"document_name": event.id,
				}
			).insert(ignore_permissions=True)


def _log_error(event: AlertEvent, config: Config) -> None:
	"""Write an Error Log with a message of our own: by default it is a traceback with local variables."""
	if event.kind not in GOOD_NEWS:
		title, text = _sentences(event, config, None)
		frappe.log_error(title=f"{ERROR_TITLE}: {title}"[:140], message=text)


def _publish(event: AlertEvent, config: Config) -> None:
	"""Let the open page look again, at those who may see it: without a user, all Desk users would hear it."""
	for user in recipients():
		frappe.publish_realtime(REALTIME_EVENT, {"kind": event.kind}, user=user)


def _email(event: AlertEvent, config: Config) -> None:
	"""Run the Notifications that listen to our event, which the operator has to enable first.

	Raises NotMailed when one of them could not be sent; the others are.
	"""
	listening = {"document_type": DOCTYPE, "event": "Method", "method": EMAIL_EVENT, "enabled": 1}
	alerts = frappe.get_all("Notification", filters=listening, pluck="name")
	if not alerts:
		return
	name = event.id
	if not frappe.db.exists(DOCTYPE, name):
		# Recorded silence is no push, and a full disk may have cost the log its row. Frappe mails about a row
		# that there is: the newest.
		newest = frappe.get_all(DOCTYPE, order_by="pushed_at desc", limit=1, pluck="name")
		name = newest[0] if newest else name
	push = frappe.get_doc(DOCTYPE, name)
	failed = [
		alert for alert in alerts if not _send(frappe.get_doc("Notification", alert), push, event, config)
	]
	if failed:
		raise NotMailed(f"see the Error Log of {', '.join(map(repr, failed))} on the operator's site")


def _send(alert: Notification, push: Document, event: AlertEvent, config: Config) -> bool:
	"""Let Frappe send one Notification, once in each language of its recipients; False: it logged an error."""
	errors = {"reference_doctype": "Notification", "reference_name": alert.name}
	errors_before = frappe.db.count("Error Log", errors)
	push.flags.kind = event.kind
	push.flags.link = get_url_to_form("Prego Node", "Prego Node")
	for language, addresses in _by_language(alert, push).items():
		push.flags.title, push.flags.description = _sentences(event, config, language)
		if addresses:
			alert.get_list_of_recipients = lambda *_, found=addresses: found
		with print_language(language):
			evaluate_alert(push, alert, alert.event)
	return bool(frappe.db.count("Error Log", errors) == errors_before)


Addresses = tuple[list[str], list[str], list[str]]


def _by_language(alert: Notification, push: Document) -> dict[str, Addresses | None]:
	"""Return to whom, as copy and as blind copy a mail goes, by language; None: not by mail, to whom it may."""
	if alert.channel != "Email":
		return {_language(): None}
	found: dict[str, Addresses | None] = {}
	for position, addresses in enumerate(alert.get_list_of_recipients(push, {"doc": push, "alert": alert})):
		for address in addresses:
			group = found.setdefault(_language("User", {"email": address}), ([], [], []))
			assert group is not None
			group[position].append(address)
	return found


def _language(*user: object) -> str:
	"""Return the language of a user, or of the site."""
	language = frappe.db.get_value(*user, "language") if user else None
	return str(language or frappe.db.get_default("lang") or "en")


def _sentences(event: AlertEvent, config: Config, language: str | None) -> tuple[str, str]:
	"""Return title and description in a language."""
	translate = translator(language)
	# A mail is read away from the site: its times name their zone.
	zone = get_system_timezone()
	text = events.description(event, lambda at: f"{format_datetime(local_time(at))} ({zone})")
	return translated(events.title(event, config.node_id), translate), translated(text, translate)


def _roll_back() -> None:
	try:
		frappe.db.rollback()
	except Exception:  # noqa: BLE001, S110 the database is gone, and with it what was to be rolled back
		pass


MEANS: dict[str, Callable[[AlertEvent, Config], None]] = {
	"notification": _notify,
	"error-log": _log_error,
	"realtime": _publish,
	"email": _email,
}
