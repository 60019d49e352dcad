"""What the tests of the settings share: settings loaded or judged, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from prego_metrics.agent.bench.locate import Bench, open_bench
from prego_metrics.agent.config.config import (
	Config,
	judge_config,
	load_config,
)

Write = Callable[..., Path]


GOOD = {"node_id": "sg-1", "control_plane_url": "https://cp.example"}


def loaded(bench_folder: Path, environ: Mapping[str, str] | None = None) -> Config:
	return load_config(open_bench(str(bench_folder)), environ or {})


def problems(config: Config) -> str:
	return "\n".join(problem.message for problem in config.problems)


def coded_problems(config: Config) -> list[tuple[str, object]]:
	"""The code of each problem, with the setting or the name that it is about."""
	sentences = [problem.message for problem in config.problems]
	names = [
		[one.params[key] for key in ("setting", "name", "first") if key in one.params] for one in sentences
	]
	return [(one.code, name[0] if name else None) for one, name in zip(sentences, names, strict=True)]


def judged(section: object, environ: Mapping[str, str] | None = None) -> Config:
	"""Judge a section without any file."""
	return judge_config(Bench("/srv/bench/sites", (0, 0)), {"prego_metrics": section}, environ or {})


def write_common(bench_folder: Path, text: str) -> Path:
	path = bench_folder / "sites" / "common_site_config.json"
	path.write_text(text)
	return path
