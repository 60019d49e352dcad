"""Every command of the documents that needs no real bench runs, and prints what the document shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from document_commands import KEY, RUN, Command, SampleNode, commands_of, missing_lines

from prego_metrics.sandbox.server import LocalControlPlane

ROOT = Path(__file__).parents[2]
PAGES = {
	str(path.relative_to(ROOT)): list(commands_of(path.read_text()))
	for path in (
		*sorted(ROOT.glob("*.md")),
		*sorted(ROOT.glob("docs/*.md")),
		*sorted(ROOT.glob("deploy/**/*.md")),
	)
	if path.name != "README.ko.md"
}
RUNNING = {page: [c for c in commands if not c.need] for page, commands in PAGES.items()}


@pytest.mark.parametrize("page", [page for page, commands in RUNNING.items() if commands])
def test_every_command_that_needs_no_real_bench_does_what_the_page_shows(page: str, tmp_path: Path) -> None:
	with LocalControlPlane(KEY) as plane:
		plane.store.register_node("sg-1", "sg", "203.0.113.7")
		node = SampleNode(tmp_path, plane.url)
		for command in RUNNING[page]:
			result = node.run(command.text)
			assert result.returncode == command.exit_code, f"{command.text}\n{result.stdout}"
			shown = tuple(map(node.translated, command.output))
			assert missing_lines(shown, result.stdout) == [], f"{command.text}\n{result.stdout}"


def test_every_other_command_is_known_to_need_something() -> None:
	unknown = [
		command.text for commands in RUNNING.values() for command in commands if command.program not in RUN
	]
	assert unknown == []
	assert sum(map(len, RUNNING.values())) >= 30


@pytest.mark.parametrize(
	("text", "program", "need"),
	[
		("sudo /opt/prego_metrics/bin/prego-metrics status --bench .", "prego-metrics", None),
		("A='x y' bench prego-metrics tenants | tail -1", "prego-metrics", None),
		("bench restart", "bench", "a Frappe bench"),
		("cd /etc && sudo rm -f x", "cd", "root"),
		("prego-metrics systemd --output /tmp/units", "prego-metrics", "a key file of root's"),
	],
)
def test_what_a_command_needs_is_seen(text: str, program: str, need: str | None) -> None:
	assert (Command(text, ()).program, Command(text, ()).need) == (program, need)


def test_lines_are_compared_by_their_form_and_in_their_order() -> None:
	printed = "7 tenants of 10 sites\nPREGO OK - delivered 2 s ago | age=2s\n"
	assert missing_lines(("6 tenants of 12 sites", "…", "PREGO OK - delivered 24 s ago | …"), printed) == []
	assert missing_lines(("PREGO OK - …", "6 tenants of 12 sites"), printed) == [
		"0 tenants of 0 sites".replace(" ", r"\ ")
	]
	assert missing_lines(("6 tenants",), printed) != []
