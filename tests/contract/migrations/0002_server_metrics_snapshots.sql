CREATE TABLE server_metrics_snapshots (
	id INTEGER PRIMARY KEY,
	node_id TEXT NOT NULL REFERENCES nodes (node_id),
	cpu_pct REAL,
	memory_pct REAL,
	disk_pct REAL,
	tenant_count INTEGER NOT NULL,
	source TEXT NOT NULL,
	recorded_at TEXT NOT NULL
);
