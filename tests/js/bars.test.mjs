import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./desk.mjs";

const { Bars } = load(["labels", "bars"]);

test("a bar's parts follow each other, and the longest row takes the whole width", () => {
	const bars = Object.create(Bars.prototype);
	const parts = [["files", 30], ["backups", 10], ["database", 60]];
	const html = bars.bar({ site: "a.example", description: "", parts, counted: true }, 0, 200);
	const drawn = [...html.matchAll(/x="([\d.]+)%" width="([\d.]+)%"/g)].map((found) => found.slice(1).map(Number));
	assert.deepEqual(drawn, [[0, 15], [15, 5], [20, 30]]);
});

test("sites of the same name on two benches stay separate", () => {
	const bars = Object.create(Bars.prototype);
	assert.equal(bars.name({ site: "a.example", bench: "one" }), "a.example");
	bars.has_several_benches = true;
	assert.equal(bars.name({ site: "a.example", bench: "one" }), "a.example (one)");
});
