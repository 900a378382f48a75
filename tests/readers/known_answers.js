// SPDX-License-Identifier: MIT
// What KnownAnswers.java prints, from hdr-histogram-js.
"use strict";

const hdr = require("hdr-histogram-js");

const HIGHEST = 3600000000000;
const PERCENTILES = [0, 0.001, 10, 25, 50, 75, 90, 99, 99.9, 99.95, 99.99, 99.999, 100];
let state = 1n;

function draw() {
	state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n);
	return Number(state >> 33n);
}

function empty() {
	return hdr.build({
		lowestDiscernibleValue: 1,
		highestTrackableValue: HIGHEST,
		numberOfSignificantValueDigits: 3,
		bitBucketSize: 64,
	});
}

const mixed = empty(), thousand = empty(), powers = empty();

for (let i = 0; i < 100000; i++) {
	const r = draw();
	mixed.recordValue(i % 1000 === 0 ? r * 1000 : 20000 + (r % 300000));
}
for (let v = 1; v <= 1000; v++)
	thousand.recordValue(v);
for (let v = 1; v < HIGHEST; v = v * 3 + 1)
	powers.recordValueWithCount(v, (v % 7) + 1);
powers.recordValue(HIGHEST);
powers.recordValue(0);

for (const h of [mixed, thousand, powers]) {
	console.log(`count ${h.totalCount} mean ${h.mean.toFixed(3)} ` +
		`stddev ${h.stdDeviation.toFixed(3)}`);
	for (const p of PERCENTILES)
		console.log(`${p.toFixed(3)} ${h.getValueAtPercentile(p)}`);
}
