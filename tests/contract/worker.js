// The control plane's internal API for nodes and metrics, as the runbook's words have it: a Worker on D1.
// For the contract tests alone.

const MAX_BODY_BYTES = 64 * 1024;
const REGIONS = ["sg", "us", "eu"];
const ROUTES = { "/internal/server-metrics": { POST: push }, "/internal/nodes": { GET: list, POST: register } };
const NODE = "/internal/nodes/";

class Refused extends Error {
	constructor(status, message, field) {
		super(message);
		this.answer = Response.json(field ? { error: message, field } : { error: message }, { status });
	}
}

export default {
	async fetch(request, env) {
		try {
			return await answer(request, env);
		} catch (error) {
			if (error instanceof Refused) return error.answer;
			throw error;
		}
	},
};

async function answer(request, env) {
	if (request.headers.get("Authorization") !== `Bearer ${env.INTERNAL_API_KEY}`) throw new Refused(401, "wrong key");
	const path = new URL(request.url).pathname;
	const node_id = path.startsWith(NODE) && path.slice(NODE.length);
	const methods = node_id ? { GET: () => show(decoded(node_id), env) } : ROUTES[path];
	if (!methods) throw new Refused(404, "no such route");
	const method = request.method === "HEAD" ? "GET" : request.method;
	if (!methods[method]) throw new Refused(405, "this route does not take this method");
	return methods[method](request, env);
}

async function push(request, { DB }) {
	const body = await json(request);
	const node_id = text(body, "node_id");
	const pct = ["cpu_pct", "memory_pct", "disk_pct"].map((field) => percent(body, field));
	const count = body.tenant_count === undefined ? 0 : body.tenant_count;
	if (!Number.isSafeInteger(count) || count < 0) throw new Refused(400, "not a count", "tenant_count");
	const source = body.source === undefined ? "node_push" : text(body, "source");
	if (![undefined, true, false].includes(body.save_snapshot)) throw new Refused(400, "not a boolean", "save_snapshot");
	if (!(await DB.prepare("SELECT 1 FROM nodes WHERE node_id = ?").bind(node_id).first()))
		throw new Refused(404, "not registered", "node_id");
	const columns = ["node_id", "cpu_pct", "memory_pct", "disk_pct", "tenant_count", "source"];
	const row = [node_id, ...pct, count, source];
	const now = new Date().toISOString();
	const writes = [];
	if (await has(DB, "push_interval")) {
		const seconds = Number(request.headers.get("X-Prego-Push-Interval"));
		const known = [...columns, "push_interval", "updated_at"];
		writes.push(upsert(DB, "server_metrics", known, [...row, seconds > 0 && seconds <= 86400 ? seconds : null, now]));
	} else writes.push(upsert(DB, "server_metrics", [...columns, "updated_at"], [...row, now]));
	const snapshot = body.save_snapshot === true && Boolean(await has(DB, "server_metrics_snapshots"));
	if (snapshot) writes.push(insert(DB, "server_metrics_snapshots", [...columns, "recorded_at"], [...row, now]));
	await DB.batch(writes);
	return Response.json({ ok: true, node_id, snapshot_saved: snapshot });
}

// A table, or a column of one: whether its migration is applied.
const has = (DB, name) => DB.prepare("SELECT 1 FROM sqlite_master WHERE instr(sql, ?)").bind(name).first();

const insert = (DB, table, columns, values, more = "") =>
	DB.prepare(`INSERT INTO ${table} (${columns}) VALUES (${columns.map(() => "?")}) ${more}`).bind(...values);

// One row written. INSERT OR REPLACE would delete the row and write it and its key again: two.
const upsert = (DB, table, [key, ...columns], values) => {
	const set = columns.map((column) => `${column} = excluded.${column}`);
	return insert(DB, table, [key, ...columns], values, `ON CONFLICT (${key}) DO UPDATE SET ${set}`);
};

const SELECT = "SELECT * FROM nodes LEFT JOIN server_metrics USING (node_id)";

async function list(_, { DB }) {
	return Response.json({ ok: true, nodes: (await DB.prepare(`${SELECT} ORDER BY node_id`).all()).results });
}

async function show(node_id, { DB }) {
	const node = await DB.prepare(`${SELECT} WHERE node_id = ?`).bind(node_id).first();
	if (!node) throw new Refused(404, "not registered", "node_id");
	return Response.json({ ok: true, node });
}

async function register(request, env) {
	const body = await json(request);
	const node = ["node_id", "region", "host"].map((field) => text(body, field));
	if (!REGIONS.includes(node[1])) throw new Refused(400, "not a region", "region");
	const known = await env.DB.prepare("SELECT 1 FROM nodes WHERE node_id = ?").bind(node[0]).first();
	await upsert(env.DB, "nodes", ["node_id", "region", "host"], node).run();
	const { node: row } = await (await show(node[0], env)).json();
	return Response.json({ ok: true, node: row }, { status: known ? 200 : 201 });
}

async function json(request) {
	const bytes = await request.arrayBuffer();
	if (bytes.byteLength > MAX_BODY_BYTES) throw new Refused(413, "the body is too large");
	let body;
	try {
		body = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
	} catch {
		throw new Refused(400, "the body is not JSON");
	}
	if (typeof body !== "object" || body === null || Array.isArray(body)) throw new Refused(400, "not an object");
	return body;
}

function text(body, field) {
	const value = body[field];
	if (typeof value !== "string" || !value || !value.isWellFormed()) throw new Refused(400, "not a text", field);
	return value;
}

function percent(body, field) {
	const value = body[field] ?? null;
	if (value !== null && !(typeof value === "number" && value >= 0 && value <= 100))
		throw new Refused(400, "not from 0 to 100", field);
	return value;
}

function decoded(path) {
	try {
		return decodeURIComponent(path);
	} catch {
		throw new Refused(404, "not registered", "node_id");
	}
}
