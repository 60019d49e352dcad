-- The most nodes that went stale within one minute, where they are at least three and more than half of those
-- that ever pushed: look at the control plane, not at the nodes. No row: nothing of the kind.
WITH settings (max_age_seconds, window_seconds, least_nodes, now) AS (
	SELECT 300, 60, 3, (julianday('now') - 2440587.5) * 86400.0
),
pushed AS (
	-- updated_at is an epoch in seconds or milliseconds, also as text (a TEXT column makes it one), ISO 8601 or
	-- SQLite's own; without a zone it is UTC.
	SELECT *, CASE
		WHEN typeof(updated_at) IN ('integer', 'real')
			OR (updated_at GLOB '[0-9]*' AND updated_at NOT GLOB '*[^0-9.]*')
			THEN updated_at / CASE WHEN abs(updated_at) >= 1e11 THEN 1000.0 ELSE 1.0 END
		WHEN updated_at GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
			THEN (julianday(updated_at) - 2440587.5) * 86400.0
		END AS updated_seconds
	FROM server_metrics
),
stopped AS (
	SELECT pushed.node_id, updated_seconds
	FROM pushed
	JOIN nodes ON nodes.node_id = pushed.node_id AND nodes.region IN ('sg', 'us', 'eu')
	CROSS JOIN settings
	WHERE now - updated_seconds > max_age_seconds
)
SELECT
	COUNT(*) AS nodes,
	datetime(first.updated_seconds, 'unixepoch') AS first_push,
	datetime(MAX(other.updated_seconds), 'unixepoch') AS last_push
FROM stopped AS first
CROSS JOIN settings
JOIN stopped AS other
	ON other.updated_seconds BETWEEN first.updated_seconds AND first.updated_seconds + window_seconds
GROUP BY first.node_id
HAVING
	COUNT(*) >= least_nodes
	AND 2 * COUNT(*) > (SELECT COUNT(*) FROM pushed WHERE updated_seconds IS NOT NULL)
ORDER BY COUNT(*) DESC, first.updated_seconds
LIMIT 1;
