// SPDX-License-Identifier: MIT
// Print what HdrHistogram's own HistogramLogReader finds in an interval log: per histogram one line
// "interval TAG|- START_MS END_MS TOTAL", then "count LOWEST_VALUE N" of each counter in use and
// "percentile P VALUE". hlog_reader.js prints the same.

import java.io.File;
import org.HdrHistogram.EncodableHistogram;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramIterationValue;
import org.HdrHistogram.HistogramLogReader;

public class HlogReader {
	private static final double[] PERCENTILES = {0, 10, 50, 75, 90, 99, 99.9, 99.99, 100};

	public static void main(String[] args) throws Exception {
		HistogramLogReader reader = new HistogramLogReader(new File(args[0]));
		EncodableHistogram next;

		while ((next = reader.nextIntervalHistogram()) != null)
			print((Histogram) next);
	}

	private static void print(Histogram h) {
		System.out.printf("interval %s %d %d %d%n", h.getTag() == null ? "-" : h.getTag(),
				h.getStartTimeStamp(), h.getEndTimeStamp(), h.getTotalCount());
		for (HistogramIterationValue v : h.recordedValues())
			System.out.printf("count %d %d%n", h.lowestEquivalentValue(v.getValueIteratedTo()),
					v.getCountAtValueIteratedTo());
		for (double p : PERCENTILES)
			System.out.printf("percentile %.2f %d%n", p, h.getValueAtPercentile(p));
	}
}
