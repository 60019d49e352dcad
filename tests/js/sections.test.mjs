import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./desk.mjs";

const { sections } = load(["labels", "sections"]);
const check = (state, name = state) => ({ state, name, seen: "seen", action: state === "fail" ? "fix `it`" : "" });
const names = (html) => [...html.matchAll(/<span><code>(\w+)<\/code>/g)].map((found) => found[1]);

test("what failed stands alone under the headline, else what warned, else nothing", () => {
	const report = { checks: [check("pass"), check("warn"), check("fail"), check("skip")] };
	assert.deepEqual(names(sections.problems(report)), ["fail"]);
	assert.match(sections.problems(report), /fix <code>it<\/code>/);
	const failed = [check("fail", "last_push"), check("fail", "control_plane")];
	assert.deepEqual(names(sections.problems({ checks: failed })), ["control_plane", "last_push"]);
	assert.deepEqual(names(sections.problems({ checks: [check("pass"), check("warn")] })), ["warn"]);
	assert.equal(sections.problems({ checks: [check("pass"), check("skip")] }), "");
});

test("the list of checks has the worst first", () => {
	const report = { checks: [check("pass"), check("skip"), check("warn"), check("fail")] };
	assert.deepEqual(names(sections.checks(report, 0)), ["fail", "warn", "skip", "pass"]);
	assert.equal(sections.checks_sentence(report), "1 failed, 1 with warnings, 1 skipped, 1 passed");
});

test("settings that differ from their default come first, the others are folded", () => {
	const rows = [
		{ name: "spread", value: "55", source: "default" },
		{ name: "node_id", value: "sg-1", source: "/etc/x" },
	];
	const { body, gist } = sections.settings({ settings: { settings: rows, api_key: null } });
	assert.ok(body.indexOf("node_id") < body.indexOf("<details") && body.indexOf("<details") < body.indexOf("spread"));
	assert.match(gist, /^1 of 2/);
});
