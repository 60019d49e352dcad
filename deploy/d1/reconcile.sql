-- Each node's count beside the tenants placed on it, as `prego-metrics fleet reconcile`. What the Hetzner sidecar
-- pushed is not compared: its counts come from tenants_master. All is well when every verdict is agrees.
WITH settings (tolerance) AS (
	SELECT 0
),
placed AS (
	-- Tenants that have a site: all but these. The list is yours to change.
	SELECT node_id, COUNT(*) AS tenants
	FROM tenants_master
	WHERE node_id <> '' AND lower(trim(coalesce(status, ''))) NOT IN ('data_purged', 'failed', 'deleted')
	GROUP BY node_id
),
pushed AS (
	SELECT * FROM server_metrics WHERE tenant_count IS NOT NULL OR updated_at <> ''
),
known AS (
	SELECT node_id FROM pushed
	UNION SELECT node_id FROM placed
)
SELECT
	known.node_id,
	CASE
		WHEN pushed.node_id IS NULL THEN 'never'
		WHEN pushed.tenant_count IS NULL THEN 'differs'
		WHEN abs(pushed.tenant_count - coalesce(placed.tenants, 0)) > tolerance THEN 'differs'
		ELSE 'agrees'
	END AS verdict,
	pushed.tenant_count,
	coalesce(placed.tenants, 0) AS placed
FROM known
CROSS JOIN settings
LEFT JOIN pushed ON pushed.node_id = known.node_id
LEFT JOIN placed ON placed.node_id = known.node_id
WHERE coalesce(pushed.source, 'node_push') <> 'hetzner_api'
ORDER BY known.node_id;
