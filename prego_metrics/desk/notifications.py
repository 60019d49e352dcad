"""Send the node's alerts on the operator site, each one once per channel.

A channel that fails is logged, tried again at the next tick, and holds up no other. None needs Redis or a mail
server: the channels write rows, and Frappe sends queued mails later.
"""

from __future__ import annotations

from collections.abc import Callable

import frappe
from frappe.desk.doctype.notification_settings.notification_settings import is_notifications_enabled
from frappe.email.doctype.notification.notification import Notification, evaluate_alert
from frappe.model.document import Document
from frappe.translate import print_language
from frappe.utils import format_datetime, get_system_timezone, get_url_to_form
from frappe.utils.user import get_system_managers

from prego_metrics.agent.alerts import rendering
from prego_metrics.agent.alerts.receipts import node_id_of_pushes, take_unsent, withdraw_receipt
from prego_metrics.agent.base.alert_codes import ALERTS
from prego_metrics.agent.base.messages import Message, translated
from prego_metrics.agent.config.config import Config
from prego_metrics.agent.state.events import AlertEvent
from prego_metrics.agent.state.store import StateFolder
from prego_metrics.desk.adapters.site_locale import local_time, translator
from prego_metrics.desk.push_log import DOCTYPE

ERROR_TITLE = "Prego Metrics"
REALTIME_EVENT = "prego_node_changed"
# The method that the app's email Notification listens to, called on the push that caused the alert.
EMAIL_METHOD = "prego_alert"


class NotMailed(Exception):
	"""Frappe could not send a Notification, and wrote the reason into the Error Log; the message names the Notification.

	A part of it may have been sent (to Slack, say), so it is not tried again.
	"""


def notify(
	folder: StateFolder, config: Config, log: Callable[[str], None], not_written: Message | None = None
) -> None:
	"""Send the alerts that were not sent yet; `log` takes a line for each failure. Never raises.

	`not_written` says why the push before could not write the state.
	"""
	state, _ = folder.read()
	pushed_config = config.replaced(node_id=node_id_of_pushes(folder, state, config))
	for channel, send in CHANNELS.items():
		for event in take_unsent(folder, channel, config, not_written=not_written, known=state):
			try:
				send(event, pushed_config)
				# The sent marker is a file: a later rollback must not undo what it stands for.
				frappe.db.commit()  # nosemgrep
			except NotMailed as error:
				frappe.db.commit()  # nosemgrep: the Error Log that Frappe wrote
				log(f"{event.kind} was not mailed: {error}")
			except Exception as error:  # noqa: BLE001 whatever it is, the push must not suffer
				withdraw_receipt(folder, channel, event)
				_roll_back()
				log(f"{event.kind} was not sent by {channel}: {type(error).__name__}")


def recipients() -> list[str]:
	"""Return the users who may see the node: the enabled System Managers, and Administrator."""
	return sorted({"Administrator", *get_system_managers(only_name=True)})


def _notification_log(event: AlertEvent, config: Config) -> None:
	for user in recipients():
		if is_notifications_enabled(user):
			title, description = _sentences(event, config, _language("User", user))
			frappe.get_doc(
				{
					"doctype": "Notification Log",
					"type": "Alert",
					"for_user": user,
					"from_user": "Administrator",
					"subject": frappe.utils.escape_html(title),
					"email_content": frappe.utils.escape_html(description),
					"document_type": DOCTYPE,
					"document_name": event.id,
				}
			).insert(ignore_permissions=True)


def _error_log(event: AlertEvent, config: Config) -> None:
	"""Write an Error Log with an explicit message: the default is a traceback with local variables."""
	if not ALERTS[event.kind].all_clear:
		title, description = _sentences(event, config, None)
		frappe.log_error(title=f"{ERROR_TITLE}: {title}"[:140], message=description)


def _realtime(event: AlertEvent, config: Config) -> None:
	"""Let open pages of users who may see the node refresh: without a user, the event goes to all Desk users."""
	for user in recipients():
		frappe.publish_realtime(REALTIME_EVENT, {"kind": event.kind}, user=user)


def _email(event: AlertEvent, config: Config) -> None:
	"""Run the enabled Notifications that listen to EMAIL_METHOD. Raises NotMailed after all, if one could not be sent."""
	listening = {"document_type": DOCTYPE, "event": "Method", "method": EMAIL_METHOD, "enabled": 1}
	notifications = frappe.get_all("Notification", filters=listening, pluck="name")
	if not notifications:
		return
	name = event.id
	if not frappe.db.exists(DOCTYPE, name):
		# An alert may have no push of its own, and a full disk may have cost the log a row. Frappe needs some row.
		newest = frappe.get_all(DOCTYPE, order_by="pushed_at desc", limit=1, pluck="name")
		name = newest[0] if newest else name
	push = frappe.get_doc(DOCTYPE, name)
	failed = [
		one for one in notifications if not _mail(frappe.get_doc("Notification", one), push, event, config)
	]
	if failed:
		raise NotMailed(
			f"see the Error Log of {', '.join(repr(name) for name in failed)} on the operator's site"
		)


def _mail(notification: Notification, push: Document, event: AlertEvent, config: Config) -> bool:
	"""Let Frappe send a Notification, once per language of its recipients; return False if it logged an error."""
	errors = {"reference_doctype": "Notification", "reference_name": notification.name}
	errors_before = frappe.db.count("Error Log", errors)
	push.flags.kind = event.kind
	push.flags.link = get_url_to_form("Prego Node", "Prego Node")
	for language, addresses in _by_language(notification, push).items():
		push.flags.title, push.flags.description = _sentences(event, config, language)
		if addresses:
			notification.get_list_of_recipients = lambda *_, recipients=addresses: recipients
		with print_language(language):
			evaluate_alert(push, notification, notification.event)
	return bool(frappe.db.count("Error Log", errors) == errors_before)


Addresses = tuple[list[str], list[str], list[str]]


def _by_language(notification: Notification, push: Document) -> dict[str, Addresses | None]:
	"""Return the addresses (to, cc, bcc) by language; None for a Notification that is not a mail."""
	if notification.channel != "Email":
		return {_language(): None}
	by_language: dict[str, Addresses | None] = {}
	for position, addresses in enumerate(
		notification.get_list_of_recipients(push, {"doc": push, "alert": notification})
	):
		for address in addresses:
			group = by_language.setdefault(_language("User", {"email": address}), ([], [], []))
			assert group is not None
			group[position].append(address)
	return by_language


def _language(*user: object) -> str:
	"""Return the language of a user, or of the site."""
	language = frappe.db.get_value(*user, "language") if user else None
	return str(language or frappe.db.get_default("lang") or "en")


def _sentences(event: AlertEvent, config: Config, language: str | None) -> tuple[str, str]:
	"""Return title and description in a language."""
	translate = translator(language)
	# A mail is read away from the site: its times name their zone.
	zone = get_system_timezone()
	description = rendering.description(event, lambda at: f"{format_datetime(local_time(at))} ({zone})")
	return translated(rendering.title(event, config.node_id), translate), translated(description, translate)


def _roll_back() -> None:
	try:
		frappe.db.rollback()
	except Exception:  # noqa: BLE001, S110 the database is gone, and with it what was to be rolled back
		pass


CHANNELS: dict[str, Callable[[AlertEvent, Config], None]] = {
	"notification": _notification_log,
	"error-log": _error_log,
	"realtime": _realtime,
	"email": _email,
}
