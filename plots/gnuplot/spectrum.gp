# SPDX-License-Identifier: MIT
#
# Percentile spectra of the response time, one .hgrm per model as the load generator wrote it.
#   files   one file name per model of `styles`, in its order, without spaces; "-" where there is none
#   folder  where they are; the run's cells/ if not given
if (!exists("title")) title = "response time (ms) against percentile"
load (exists("here") ? here : "plots/gnuplot")."/common.gp"
if (!exists("files")) { print "set files: one .hgrm per model"; exit status 2 }

if (!exists("folder")) folder = run."/cells"

set datafile separator whitespace
set datafile commentschars "#V"
set logscale xy
set xlabel ascii ? "percentile (%)" : "percentile"
set ylabel ascii ? "" : "response time (ms)"
set xtics ("50" 2, "90" 10, "99" 100, "99.9" 1000, "99.99" 10000, "99.999" 100000, "99.9999" 1000000)
set format y "%g"
set xrange [2:*]
file(i) = word(files, i) eq "-" ? "/dev/null" : folder."/".word(files, i)
# The row of percentile 1 has no fourth column: it is the value of the row before.
if (ascii) {
	unset key
	plot for [i=1:N] file(i) using 4:1 every 4::(i % 4) with points pointtype letter(i) notitle
} else {
	plot for [i=1:N] file(i) using 4:1 with lines linetype i title name(i)
}
