-- What looks like one node under several names, or one row too many: node_id is compared byte for byte, so a
-- second spelling is a second node to placement. No row: nothing of the kind.
SELECT 'nodes.node_id' AS what, group_concat(node_id, ' | ') AS node_ids, COUNT(*) AS rows
FROM nodes
GROUP BY lower(trim(node_id))
HAVING COUNT(*) > 1
UNION ALL
SELECT 'nodes.host', group_concat(node_id, ' | '), COUNT(*)
FROM nodes
WHERE host <> ''
GROUP BY lower(trim(host))
HAVING COUNT(*) > 1
UNION ALL
SELECT 'server_metrics.node_id', group_concat(node_id, ' | '), COUNT(*)
FROM server_metrics
GROUP BY lower(trim(node_id))
HAVING COUNT(*) > 1;
