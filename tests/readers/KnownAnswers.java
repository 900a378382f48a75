// SPDX-License-Identifier: MIT
// Print the numbers that tests/unit/test_hist.c expects, as HdrHistogram computes them.
// known_answers.js prints the same.

import org.HdrHistogram.Histogram;

public class KnownAnswers {
	private static final long HIGHEST = 3600000000000L;
	private static final double[] PERCENTILES =
			{0, 0.001, 10, 25, 50, 75, 90, 99, 99.9, 99.95, 99.99, 99.999, 100};
	private static long state = 1;

	private static long draw() {
		state = state * 6364136223846793005L + 1442695040888963407L;
		return state >>> 33;
	}

	private static Histogram empty() {
		return new Histogram(1, HIGHEST, 3);
	}

	public static void main(String[] args) {
		Histogram mixed = empty(), thousand = empty(), powers = empty();

		for (int i = 0; i < 100000; i++) {
			long r = draw();
			mixed.recordValue(i % 1000 == 0 ? r * 1000 : 20000 + r % 300000);
		}
		for (long v = 1; v <= 1000; v++)
			thousand.recordValue(v);
		for (long v = 1; v < HIGHEST; v = v * 3 + 1)
			powers.recordValueWithCount(v, v % 7 + 1);
		powers.recordValue(HIGHEST);
		powers.recordValue(0);
		for (Histogram h : new Histogram[] {mixed, thousand, powers})
			print(h);
	}

	private static void print(Histogram h) {
		System.out.printf("count %d mean %.3f stddev %.3f%n", h.getTotalCount(), h.getMean(),
				h.getStdDeviation());
		for (double p : PERCENTILES)
			System.out.printf("%.3f %d%n", p, h.getValueAtPercentile(p));
	}
}
