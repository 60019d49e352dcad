// Run the Worker in workerd. The first line on stdout says {"url": …}; then each line on stdin is an SQL
// statement as JSON, {"sql": …, "values": […]}, answered by a line as `wrangler d1 execute --json` prints it.
// Arguments: the folder that keeps D1's SQLite file, and the migrations to apply. The key: INTERNAL_API_KEY.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Miniflare } from "miniflare";

const [folder, ...migrations] = process.argv.slice(2);
const miniflare = new Miniflare({
	modules: true,
	scriptPath: new URL("worker.js", import.meta.url).pathname,
	compatibilityDate: "2025-06-01",
	host: "127.0.0.1",
	port: 0,
	cf: false, // nothing is asked of the world outside
	bindings: { INTERNAL_API_KEY: process.env.INTERNAL_API_KEY },
	d1Databases: { DB: "contract" },
	d1Persist: folder,
});
const database = await miniflare.getD1Database("DB");
for (const path of migrations)
	for (const statement of readFileSync(path, "utf8").split(";").filter((part) => part.trim()))
		await database.prepare(statement).run();
console.log(JSON.stringify({ url: (await miniflare.ready).origin }));
for await (const line of createInterface({ input: process.stdin })) {
	const { sql, values } = JSON.parse(line);
	try {
		const { results, success, meta } = await database.prepare(sql).bind(...values).all();
		console.log(JSON.stringify([{ results, success, meta }]));
	} catch (error) {
		console.log(JSON.stringify({ error: { text: String(error) } }));
	}
}
await miniflare.dispose();
