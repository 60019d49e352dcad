"""The files from which Frappe 16 and later translate, made from ko.csv and the sources. `make translations` writes them.

There are no dates, places or tool versions in them, so that only a changed string changes them.
"""

from __future__ import annotations

import csv
import json

import translatable

LOCALE = translatable.PACKAGE / "locale"
KOREAN_CSV = translatable.PACKAGE / "translations/ko.csv"
_HEADER = (
	"Project-Id-Version: prego_metrics\n",
	"MIME-Version: 1.0\n",
	"Content-Type: text/plain; charset=utf-8\n",
	"Content-Transfer-Encoding: 8bit\n",
)
_KOREAN = ("Language: ko\n", "Plural-Forms: nplurals=1; plural=0;\n")


def _quoted(text: str) -> str:
	return json.dumps(text, ensure_ascii=False)  # the escapes that gettext has are among JSON's


def _file(header: tuple[str, ...], translated: dict[str, str]) -> str:
	entries = ['msgid ""\nmsgstr ""\n' + "".join(f"{_quoted(line)}\n" for line in header)]
	entries += [f"msgid {_quoted(text)}\nmsgstr {_quoted(translated[text])}\n" for text in sorted(translated)]
	return "\n".join(entries)


def files() -> dict[str, str]:
	"""Return the contents of main.pot and ko.po by name."""
	with KOREAN_CSV.open(newline="", encoding="utf-8") as file:
		korean = {row[0]: row[1] for row in csv.reader(file)}
	texts = translatable.all_texts()
	return {
		"main.pot": _file(_HEADER, dict.fromkeys(texts, "")),
		"ko.po": _file((*_HEADER, *_KOREAN), {text: korean.get(text, "") for text in texts}),
	}


def main() -> None:
	"""Write both files."""
	LOCALE.mkdir(exist_ok=True)
	for name, content in files().items():
		(LOCALE / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
	main()
