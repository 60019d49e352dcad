"""What the modules of every run need of `typing`, without importing it: that takes longer than most of those runs.

mypy sees typing's own names. At run time annotations are strings that nobody evaluates, so that most names stand for
nothing. NamedTuple is a tuple with names, as typing's is, but no code is compiled for each class that derives from it:
that took four times as long as all else about the class.
"""

from __future__ import annotations

from operator import itemgetter

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

	class _Record(tuple):
		__slots__ = ()

		def __new__(cls, *values, **named):
			if named or len(values) != len(cls._fields):
				values = cls._completed(values, named)
			return tuple.__new__(cls, values)

		@classmethod
		def _completed(cls, values, named):
			positional = cls._fields[: len(values)]
			given = {**cls._field_defaults, **dict(zip(positional, values, strict=False)), **named}
			if (
				given.keys() != set(cls._fields)
				or len(positional) < len(values)
				or named.keys() & set(positional)
			):
				raise TypeError(
					f"{cls.__name__} has the fields {', '.join(cls._fields)}, not these {len(given)}"
				)
			return tuple(given[field] for field in cls._fields)

		@classmethod
		def _make(cls, values):
			return cls(*values)

		def _asdict(self):
			return dict(zip(self._fields, self, strict=True))

		def _replace(self, **changes):
			return type(self)(**{**self._asdict(), **changes})

		def __getnewargs__(self):
			return tuple(self)

		def __repr__(self):
			values = (f"{field}={value!r}" for field, value in self._asdict().items())
			return f"{type(self).__name__}({', '.join(values)})"

	class _NamedTupleMeta(type):
		def __new__(meta, name, bases, body):
			# From Python 3.14 on it is there only below `from __future__ import annotations`.
			fields = tuple(body["__annotations__"])
			defaults = {field: body.pop(field) for field in fields if field in body}
			getters = {field: property(itemgetter(place)) for place, field in enumerate(fields)}
			made = {"__slots__": (), "_fields": fields, "_field_defaults": defaults, "__match_args__": fields}
			return type(name, (_Record,), {**body, **made, **getters})

	NamedTuple = type.__new__(_NamedTupleMeta, "NamedTuple", (), {})
