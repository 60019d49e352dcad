import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./desk.mjs";

const { Plot } = load(["labels", "plot"]);

// The shapes of a chart whose buckets are numbers, or null where nothing is known. The scale ends at `top`.
function shapes(buckets, { top = 100, band } = {}) {
	const plot = Object.create(Plot.prototype);
	Object.assign(plot, {
		top,
		buckets,
		options: {
			is_known: (bucket) => bucket !== null,
			lines: [{ name: "mean", value: (bucket) => bucket, band }],
		},
	});
	return plot.shapes();
}

const gaps = (svg) => [...svg.matchAll(/prego-gap" x="([\d.]+)" y="0" width="([\d.]+)"/g)].map((found) => found.slice(1).map(Number));
const lines = (svg) => [...svg.matchAll(/prego-line-mean" d="M ([^"]*)"/g)].map((found) => found[1]);

test("the scale ends at a round number whose half is whole", () => {
	const ends = [0, 1, 3, 4, 5, 7, 11, 39, 41, 61, 99, 101, 10_004].map(Plot.round_up);
	assert.deepEqual(ends, [4, 4, 4, 4, 6, 10, 20, 40, 60, 100, 100, 200, 20_000]);
	for (let value = 0; value < 2000; value += 7) {
		const end = Plot.round_up(value);
		assert.ok(end >= value && Number.isInteger(end / 2), `${value}: ${end}`);
	}
});

test("a value stands at its height, 0 at the bottom, and none leaves the drawing", () => {
	assert.deepEqual(lines(shapes([0, 50, 100, 250], { top: 100 })), ["125,100 375,50 625,0 875,0"]);
	assert.deepEqual(lines(shapes([2, 6], { top: 10 })), ["250,80 750,40"]);
});

test("unknown buckets are shaded together, and no line crosses them", () => {
	const svg = shapes([10, null, null, 30, 40]);
	assert.deepEqual(gaps(svg), [[200, 400]]);
	assert.deepEqual(lines(svg), ["100,90 h 0.01", "700,70 900,60"]);
	assert.deepEqual(gaps(shapes([null, 1, null])).length, 2);
});

test("all known: no shade; nothing known: all of it and no line", () => {
	assert.deepEqual(gaps(shapes([1, 2, 3])), []);
	const svg = shapes([null, null]);
	assert.deepEqual([gaps(svg), lines(svg)], [[[0, 1000]], []]);
});

test("a band runs along the maxima and back along the minima", () => {
	const svg = shapes([50, 60], { band: (value) => [value - 10, value + 10] });
	assert.match(svg, /prego-band" points="250,40 750,30 750,50 250,60"/);
});

// A chart of ten buckets, 100 pixels wide, that only remembers which bucket is chosen.
function chart() {
	const plot = Object.create(Plot.prototype);
	return Object.assign(plot, {
		at: null,
		buckets: Array(10).fill(1),
		$canvas: [{ getBoundingClientRect: () => ({ left: 0, width: 100 }) }],
		select: (index) => (plot.at = index),
	});
}

test("the focus of the keyboard begins at the newest bucket, that of a click stays where it points", () => {
	const plot = chart();
	plot.focus();
	assert.equal(plot.at, 9);
	plot.point_at({ clientX: 35 });
	plot.focus();
	assert.equal(plot.at, 3);
});

test("a lifted finger leaves its value, a mouse that goes away does not", () => {
	const plot = chart();
	plot.point_at({ clientX: 35 });
	plot.leave({ pointerType: "touch" });
	plot.focus();
	assert.equal(plot.at, 3);
	plot.leave({ pointerType: "mouse" });
	assert.equal(plot.at, null);
});
