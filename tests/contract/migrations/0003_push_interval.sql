-- Not the runbook's: a column that the platform may add. fleet freshness takes each node's limit from it.
ALTER TABLE server_metrics ADD COLUMN push_interval REAL
