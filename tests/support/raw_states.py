"""What the tests of the state share: a push, and a state written as it stands."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, settings

from prego_metrics.agent.state.model import Push, State
from prego_metrics.agent.state.store import StateFolder, state_as_stored

# The folder is emptied at the start of each example.
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


PUSH = Push(
	"0123456789abcdef",
	1e9,
	"cron",
	"delivered",
	{"node_id": "n", "tenant_count": 3, "source": "node_push"},
	200,
	1,
	12,
	None,
)


def write_raw(folder: StateFolder, content: bytes, name: str = "state.json") -> Path:
	path = Path(folder.path)
	path.mkdir(exist_ok=True)
	(path / name).write_bytes(content)
	return path / name


def written(state: State) -> dict[str, object]:
	return state_as_stored(state)
