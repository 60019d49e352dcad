CREATE TABLE nodes (
	node_id TEXT PRIMARY KEY NOT NULL,
	region TEXT NOT NULL CHECK (region IN ('sg', 'us', 'eu')),
	host TEXT NOT NULL
);
CREATE TABLE server_metrics (
	node_id TEXT PRIMARY KEY NOT NULL REFERENCES nodes (node_id),
	cpu_pct REAL,
	memory_pct REAL,
	disk_pct REAL,
	tenant_count INTEGER NOT NULL DEFAULT 0,
	source TEXT NOT NULL DEFAULT 'node_push',
	updated_at TEXT NOT NULL
);
CREATE TABLE tenants_master (
	id INTEGER PRIMARY KEY,
	node_id TEXT REFERENCES nodes (node_id),
	status TEXT NOT NULL
);
