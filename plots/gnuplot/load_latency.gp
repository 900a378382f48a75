# SPDX-License-Identifier: MIT
#
# p99 response time against offered load, from summary.tsv. Infinite values stand at the top edge.
if (!exists("title")) title = "p99 response time (ms) against offered load (requests/s)"
load (exists("here") ? here : "plots/gnuplot")."/common.gp"

is(i) = strcol("model") eq name(i) && strcol("metric") eq "p99_ns"
y(i)  = is(i) && strcol("estimate") ne "inf" ? real(strcol("estimate")) / 1e6 : NaN
top   = exists("highest") ? highest * 3 : 10000
up(i) = is(i) && strcol("estimate") eq "inf" ? top : NaN

stats summary using (strcol("metric") eq "p99_ns" ? column("offered_rps") : NaN) nooutput
wide = STATS_max > 50 * STATS_min
if (wide) {
	set logscale x
	set xrange [STATS_min / 1.2:STATS_max * 1.2]
	set xtics add ("2k" 2e3, "5k" 5e3, "20k" 2e4, "50k" 5e4, "200k" 2e5, "500k" 5e5)
} else {
	set xrange [0:STATS_max * 1.05]
}
set logscale y
set xlabel "offered load (requests/s)"
set ylabel ascii ? "" : "p99 response time (ms)"
set format x "%.0s%c"
set format y "%g"
set yrange [*:top * 1.3]
# Letters up to two columns aside by turns, and arrows next to each other, so that equal values do not hide each other altogether.
columns = ascii ? 84.0 : 150.0
aside(i) = ascii ? i % 5 - 2 : (i - (N + 1) / 2.0) * (N > 10 ? 10.0 / N : 1)
x(i) = wide ? column("offered_rps") * (1.44 * STATS_max / STATS_min)**(aside(i) / columns) \
	    : column("offered_rps") + aside(i) * 1.05 * STATS_max / columns
if (ascii) {
	unset key
	plot for [i=1:N] summary using (x(i)):(y(i)) with points pointtype letter(i) notitle, \
	     for [i=1:N] summary using (x(i)):(up(i)) with points pointtype letter(i) notitle
} else {
	plot for [i=1:N] summary using (column("offered_rps")):(y(i)) with linespoints linetype i title name(i), \
	     for [i=1:N] summary using (column("offered_rps")):(doubt(strcol("status")) ? y(i) : NaN) \
		with points pointtype 7 pointsize 0.7 linecolor rgb "white" notitle, \
	     for [i=1:N] summary using (column("offered_rps")):(doubt(strcol("status")) ? y(i) : NaN) \
		with points linetype i pointtype 6 pointsize 0.7 notitle, \
	     for [i=1:N] summary using (x(i)):(up(i)):("↑") with labels textcolor linetype i notitle
}
