import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./desk.mjs";

const { labels } = load(["labels"]);
const AT = Date.UTC(2026, 10, 25, 16, 30) / 1000;

test("sizes are decimal, with one place below 100", () => {
	const sizes = [0, 999, 1000, 99_950, 999_499, 999_500, 1.5e9, 2.4e12, 3e18].map((bytes) => labels.size(bytes));
	const expected = ["0 B", "999 B", "1.0 kB", "100 kB", "999 kB", "1.0 MB", "1.5 GB", "2.4 TB", "3000 PB"];
	assert.deepEqual(sizes, expected.map((size) => size.replace(" ", "\u00a0")));
});

test("what is unknown is never shown as 0", () => {
	assert.ok(![labels.size(null), labels.size(undefined), labels.percent(null)].some((text) => /\d/.test(text)));
	assert.equal(labels.percent(0), "0.0\u00a0%");
	assert.equal(labels.percent(12.345), "12.3\u00a0%");
});

test("times are those of the user's zone, from seconds and from ISO alike", () => {
	assert.equal(labels.clock(AT), "01:30");
	assert.equal(labels.clock("2026-11-25T16:30:00Z"), "01:30");
	assert.equal(labels.day(AT), "11-26");
	const elsewhere = load(["labels"], "America/New_York").labels;
	assert.equal(elsewhere.clock(AT), "11:30");
});

test("a day of the tenants' history stays the day in UTC that it was scanned as", () => {
	assert.equal(load(["labels"], "America/New_York").labels.date(Date.UTC(2026, 10, 25) / 1000), "2026-11-25");
});

test("text of the node cannot become markup", () => {
	assert.equal(labels.html("<img src=x>"), "&#60;img src=x&#62;");
	assert.ok(!labels.list(["<script>"]).includes("<script>"));
	assert.ok(!labels.badge(["<b>", "good", "✓"]).includes("<b>"));
	assert.equal(labels.html(null), "");
});

test("a sentence of the node shows its times in the user's zone, and commands as code", () => {
	assert.equal(labels.sentence("since 2026-11-25T16:30:00Z: run `a <b>`"), "since 2026-11-26 01:30:00: run <code>a &#60;b&#62;</code>");
	assert.equal(labels.sentence("one ` alone"), "one ` alone");
});

test("a bucket is named by its start and end, with the day where the chart has several", () => {
	assert.equal(labels.span(AT, 600, false), "01:30–01:40");
	assert.equal(labels.span(AT, 4 * 3600, true), "11-26 01:30–05:30");
});

test("the legend counts in hours from one hour on", () => {
	const means = [120, 600, 2700, 3600, 4 * 3600].map((seconds) => labels.legend(seconds).match(/Line: (.*) mean/)[1]);
	assert.deepEqual(means, ["2-minute", "10-minute", "45-minute", "1-hour", "4-hour"]);
});

test("an age has the unit that people say", () => {
	assert.deepEqual([5, 119, 120, 2040, 7199, 7200, 172_800].map((age) => labels.age(age)), ["5 s", "119 s", "2 min", "34 min", "120 min", "2 h", "2 days"]);
});
