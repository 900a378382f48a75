# SPDX-License-Identifier: MIT
#
# Throughput against the number of connections, from summary.tsv.
if (!exists("title")) title = "throughput (requests/s) against connections"
load (exists("here") ? here : "plots/gnuplot")."/common.gp"

is(i) = strcol("model") eq name(i) && strcol("metric") eq "throughput_rps"
y(i)  = is(i) ? real(strcol("estimate")) : NaN

stats summary using (strcol("metric") eq "throughput_rps" ? column("connections") : NaN) nooutput
span = log10(STATS_max / STATS_min) > 1 ? log10(STATS_max / STATS_min) : 1
set logscale x
set xrange [STATS_min / 10**(0.13 * span):STATS_max * 10**(0.13 * span)]
set xlabel "connections"
set ylabel ascii ? "" : "requests/s"
set yrange [0:*]
set format x "%.0s%c"
set format y "%.0s%c"
set offsets 0, 0, graph 0.05, 0
if (ascii) {
	# Side by side at each level, a column each if there is room, so that no letter hides another.
	unset key
	column_width = 1.26 * span / 84
	step = 10**(column_width < 0.95 / N ? column_width : 0.95 / N)
	plot for [i=1:N] summary using (column("connections") * step**(i - (N + 1) / 2.0)):(y(i)) \
		with points pointtype letter(i) notitle
} else {
	plot for [i=1:N] summary using (column("connections")):(y(i)):(is(i) ? column("lo") : NaN):(is(i) ? column("hi") : NaN) \
		with yerrorbars linetype i linewidth 0.5 pointsize 0 notitle, \
	     for [i=1:N] summary using (column("connections")):(y(i)) with linespoints linetype i title name(i), \
	     for [i=1:N] summary using (column("connections")):(doubt(strcol("status")) ? y(i) : NaN) \
		with points pointtype 7 pointsize 0.7 linecolor rgb "white" notitle, \
	     for [i=1:N] summary using (column("connections")):(doubt(strcol("status")) ? y(i) : NaN) \
		with points linetype i pointtype 6 pointsize 0.7 notitle, \
	     for [i=1:N] summary using (column("connections") * 10**(0.02 * span * (i - (N + 1) / 2.0) / N * 4)):(is(i) && strcol("status") eq "unsupported" ? 0 : NaN) \
		with points linetype i pointtype 2 pointsize 0.6 notitle
}
