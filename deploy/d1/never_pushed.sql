-- Registered nodes without a row of metrics: no push ever arrived. Trigger, URL or key.
SELECT nodes.node_id, nodes.region, nodes.host
FROM nodes
LEFT JOIN server_metrics ON server_metrics.node_id = nodes.node_id
WHERE coalesce(server_metrics.updated_at, '') = ''
ORDER BY nodes.node_id;
