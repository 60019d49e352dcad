"""What every HTTP method of this app checks before it answers, and what it turns errors into."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

import frappe

from prego_metrics.agent.base.errors import PregoMetricsError
from prego_metrics.agent.base.messages import translated
from prego_metrics.agent.config.config import Config
from prego_metrics.desk.error_boundary import guarded
from prego_metrics.desk.operator_site import require_operator_site

MANAGER_ROLE = "System Manager"
# For a Prometheus, which must not hold the password of a System Manager.
READER_ROLE = "Prego Metrics Reader"

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")
Method = Callable[Concatenate[Config, Parameters], Answer]


class BadParameter(PregoMetricsError):
	"""A parameter of an HTTP method has a value that it does not allow."""


class _Refused(NamedTuple):
	code: str
	reason: str


def node_method(*roles: str) -> Callable[[Method[Parameters, Answer]], Callable[Parameters, Answer]]:
	"""Answer only users with one of `roles` (default: System Manager), and only on the operator site.

	The method gets the node's settings as its first argument, which callers neither see nor can pass. An error of
	ours becomes a ValidationError (HTTP 417) with its message and its code; an unexpected one stays behind the error boundary.
	"""

	def decorate(method: Method[Parameters, Answer]) -> Callable[Parameters, Answer]:
		@functools.wraps(method)
		def checked(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Answer:
			frappe.only_for(roles or (MANAGER_ROLE,))
			config = require_operator_site()

			def run() -> Answer | _Refused:
				try:
					return method(config, *args, **kwargs)
				except PregoMetricsError as error:
					return _Refused(error.code, translated(error.message, frappe._))

			answer = guarded(run)
			if not isinstance(answer, _Refused):
				return answer
			frappe.response["error_code"] = answer.code
			return frappe.throw(frappe.utils.escape_html(answer.reason), frappe.ValidationError)

		# Frappe passes on the parameters that the signature names, and may check them by their annotations.
		settings, *parameters = inspect.signature(method).parameters.values()
		checked.__signature__ = inspect.signature(method).replace(parameters=parameters)  # type: ignore[attr-defined]
		checked.__annotations__ = {
			name: kind for name, kind in method.__annotations__.items() if name != settings.name
		}
		return checked

	return decorate
