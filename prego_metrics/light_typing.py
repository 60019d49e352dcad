"""What the modules of every run need of `typing`, without importing it: that takes longer than most of those runs.

mypy sees typing's own names. At run time annotations are strings that nobody evaluates, so that most names stand for
nothing; NamedTuple makes a `collections.namedtuple` of a class's annotations, as typing's does.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False  # mypy knows this name, and takes it for true

if TYPE_CHECKING:
	from typing import Any as Any
	from typing import ClassVar as ClassVar
	from typing import Generic as Generic
	from typing import NamedTuple as NamedTuple
	from typing import NoReturn as NoReturn
	from typing import TextIO as TextIO
	from typing import TypeGuard as TypeGuard
	from typing import TypeVar as TypeVar
else:
	Any = ClassVar = NoReturn = TextIO = TypeGuard = None

	def TypeVar(name, *constraints, **options):
		return name

	class Generic:
		def __class_getitem__(cls, parameters):
			return cls

	class _NamedTupleMeta(type):
		def __new__(meta, name, bases, body):
			fields = body["__annotations__"]
			defaults = [body.pop(field) for field in fields if field in body]
			made = namedtuple(name, fields, defaults=defaults)
			for attribute, value in body.items():
				setattr(made, attribute, value)
			return made

	NamedTuple = type.__new__(_NamedTupleMeta, "NamedTuple", (), {})
