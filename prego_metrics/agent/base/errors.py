"""Every error that this app raises on purpose.

PregoMetricsError
├── NotSent                 nothing was sent, since something that must be known is not (exit 2)
│   ├── ConfigurationError  settings or the key are wrong or missing; holds every problem found
│   ├── BenchError          a folder that was named as a bench cannot be read
│   │   └── NotABench       it can be read, and is none
│   ├── CensusError         the bench was read, and its count is not to be believed
│   ├── OtherInstance       this server is not the one that the settings were made for
│   ├── TooLate             a file system did not answer in time
│   └── LockUnsupported     the file system of sites/ refuses flock
├── ExportError             what the fleet is judged from cannot be read, or holds nothing (exit 2)
└── PrivilegesError              started by root, and the bench's owner cannot be taken on (exit 2)
"""

from __future__ import annotations

from collections.abc import Iterable

from prego_metrics.agent.base.messages import Message, coded
from prego_metrics.agent.base.sanitize import sanitize
from prego_metrics.agent.light_typing import ClassVar, NamedTuple

_FRAMES = 12


class PregoMetricsError(Exception):
	"""A condition that we foresee; its message is for people and names the thing and the next step.

	One that is raised with a text without a code of the catalog gets the code of its class.
	"""

	default_code: ClassVar[str] = "command_failed"

	def __init__(self, problem: str) -> None:
		if not (isinstance(problem, Message) and problem.code):
			problem = coded(self.default_code, problem=problem)
		self.message: Message = problem
		super().__init__(problem)

	@property
	def code(self) -> str:
		"""The code of the catalog; see `error_codes`."""
		return self.message.code


class NotSent(PregoMetricsError):
	"""Nothing was sent: there is no count that somebody read, or no valid setting."""


class BenchError(NotSent):
	"""A folder that was named as a bench cannot be read, or is none."""


class NotABench(BenchError):
	"""The folder was read, and holds no sites folder."""


class CensusError(NotSent):
	"""The bench was read, and what it shows is a doubt rather than a number."""


class OtherInstance(NotSent):
	"""This server is another one than that for which the settings were made: a clone of it."""


class TooLate(NotSent):
	"""A step had not ended when its time was over."""


class LockUnsupported(NotSent):
	"""The file system that holds sites/ has no flock."""


class ExportError(PregoMetricsError):
	"""An export of the control plane's tables cannot be read, or holds nothing to judge the fleet by."""

	def __init__(self, export: str, problem: str) -> None:
		super().__init__(coded("export_invalid", export=export, problem=problem))


class PrivilegesError(PregoMetricsError):
	"""Root could not become the owner of the bench."""


class Problem(NamedTuple):
	"""One thing that is wrong with the configuration.

	key is the setting's name, or empty when it concerns the configuration as a whole.
	"""

	key: str
	message: Message


class ConfigurationError(NotSent):
	"""The settings or the key are wrong. Of several problems the message has a line each."""

	def __init__(self, problems: Iterable[Problem]) -> None:
		self.problems = tuple(problems)
		messages = [problem.message for problem in self.problems]
		super().__init__(messages[0] if len(messages) == 1 else coded("settings_invalid", problems=messages))


def fault_of(error: BaseException) -> str:
	"""Return the type of an unexpected exception and the frames below the caller's, and none of its values.

	Each frame is `folder/file:line function`, innermost first.
	"""
	places = []
	passed = error.__traceback__
	while passed:
		code = passed.tb_frame.f_code
		places.append(f"{'/'.join(code.co_filename.split('/')[-2:])}:{passed.tb_lineno} {code.co_name}")
		passed = passed.tb_next
	inner = places[1:][-_FRAMES:] or places
	return sanitize(f"{type(error).__name__} at {' < '.join(reversed(inner))}", 900)
