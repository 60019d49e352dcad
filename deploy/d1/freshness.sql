-- Every node that is registered, has pushed, or has tenants, with its verdict. Of several the first holds, as
-- in `prego-metrics fleet freshness --tenants`. All is well when every verdict is fresh.
WITH settings (max_age_seconds, future_seconds, now, push_interval) AS (
	SELECT 300, 5, (julianday('now') - 2440587.5) * 86400.0, NULL
),
pushed AS (
	-- updated_at is an epoch in seconds or milliseconds, also as text (a TEXT column makes it one), ISO 8601 or
	-- SQLite's own; without a zone it is UTC.
	SELECT server_metrics.*, CASE
		WHEN typeof(updated_at) IN ('integer', 'real')
			OR (updated_at GLOB '[0-9]*' AND updated_at NOT GLOB '*[^0-9.]*')
			THEN updated_at / CASE WHEN abs(updated_at) >= 1e11 THEN 1000.0 ELSE 1.0 END
		WHEN updated_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
			THEN (julianday(updated_at) - 2440587.5) * 86400.0
		END AS updated_seconds,
		-- Where server_metrics has a column push_interval (what X-Prego-Push-Interval said, in seconds), a push is fresh
		-- for two intervals and 60 s. Where it has none, this name is that of settings, which is NULL.
		coalesce(max(max_age_seconds, 2 * (
			SELECT push_interval FROM server_metrics AS own WHERE own.node_id = server_metrics.node_id
		) + 60), max_age_seconds) AS fresh_seconds
	FROM server_metrics, settings
),
placed AS (
	-- Tenants that have a site: all but these. The list is yours to change.
	SELECT node_id, COUNT(*) AS tenants
	FROM tenants_master
	WHERE node_id <> '' AND lower(trim(coalesce(status, ''))) NOT IN ('data_purged', 'failed', 'deleted')
	GROUP BY node_id
),
known AS (
	SELECT node_id FROM nodes
	UNION SELECT node_id FROM server_metrics
	UNION SELECT node_id FROM placed
)
SELECT
	known.node_id,
	CASE
		WHEN nodes.node_id IS NULL THEN 'unregistered'
		WHEN coalesce(nodes.region, '') NOT IN ('sg', 'us', 'eu') THEN 'bad_region'
		WHEN coalesce(pushed.updated_at, '') = '' THEN 'never'
		WHEN pushed.updated_seconds IS NULL THEN 'stale'
		WHEN pushed.updated_seconds - now > future_seconds THEN 'stale'
		WHEN now - pushed.updated_seconds > pushed.fresh_seconds THEN 'stale'
		WHEN coalesce(pushed.tenant_count, 0) = 0 AND placed.tenants > 0 THEN 'zero'
		ELSE 'fresh'
	END AS verdict,
	round(now - pushed.updated_seconds, 1) AS age_seconds,
	pushed.tenant_count,
	coalesce(placed.tenants, 0) AS placed,
	nodes.region,
	pushed.source
FROM known
CROSS JOIN settings
LEFT JOIN nodes ON nodes.node_id = known.node_id
LEFT JOIN pushed ON pushed.node_id = known.node_id
LEFT JOIN placed ON placed.node_id = known.node_id
ORDER BY known.node_id;
