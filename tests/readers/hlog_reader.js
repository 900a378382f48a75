// SPDX-License-Identifier: MIT
// What HlogReader.java prints, from the reader of hdr-histogram-js.
"use strict";

const fs = require("fs");
const hdr = require("hdr-histogram-js");

const PERCENTILES = [0, 10, 50, 75, 90, 99, 99.9, 99.99, 100];
const reader = new hdr.HistogramLogReader(fs.readFileSync(process.argv[2], "utf8"), 64);

for (let h; (h = reader.nextIntervalHistogram()); ) {
	// A missing tag is the text "NO TAG" here.
	const tag = h.tag && h.tag !== "NO TAG" ? h.tag : "-";
	console.log(`interval ${tag} ${Math.round(h.startTimeStampMsec)} ` +
		`${Math.round(h.endTimeStampMsec)} ${h.totalCount}`);
	const values = h.recordedValuesIterator;
	values.reset();
	while (values.hasNext()) {
		const v = values.next();
		console.log(`count ${h.lowestEquivalentValue(v.valueIteratedTo)} ` +
			`${v.countAtValueIteratedTo}`);
	}
	for (const p of PERCENTILES)
		console.log(`percentile ${p.toFixed(2)} ${h.getValueAtPercentile(p)}`);
}
