# SPDX-License-Identifier: MIT
#
# What the scripts of this folder share: which models there are, how they look, and the page.
# By hand, from the top of the tree:
#     gnuplot -e "run='results/MACHINE/c10k/RUN'" plots/gnuplot/throughput.gp
# plots/gnuplot_driver.py sets the rest as well:
#   run     run directory                       styles  models.tsv (looks of the run's models)
#   out     PDF to write; empty: the terminal   tall    text lines of the terminal
#   summary its summary.tsv, of a packed run a copy
#   title   of the page                         origin  machine, replicates, commit

if (!exists("run")) { print "set run: gnuplot -e \"run='results/…'\" plots/gnuplot/NAME.gp"; exit status 2 }
if (!exists("styles")) styles = "plots/models.tsv"
if (!exists("out")) out = ""
if (!exists("origin")) origin = run
if (!exists("tall")) tall = 26
if (!exists("summary")) summary = run."/summary.tsv"

names   = system("tail -n +2 '".styles."' | cut -f1")
colours = system("tail -n +2 '".styles."' | cut -f3")
dashes  = system("tail -n +2 '".styles."' | cut -f4 | tr ' ' '~'")
points  = system("tail -n +2 '".styles."' | cut -f5")
N = words(names)
name(i)   = word(names, i)
# Terminal letters: a, b, … z, A, …
letter(i) = substr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", i, i)
point(m)  = m eq "circle" ? 7 : m eq "square" ? 5 : m eq "diamond" ? 13 : m eq "up" ? 9 : m eq "down" ? 11 : 15

ascii = (out eq "")
if (ascii) {
	set terminal dumb 98,tall mono noenhanced
} else {
	set terminal pdfcairo size 18cm,11cm font "DejaVu Sans,9" noenhanced dashed
	set output out
	do for [i=1:N] {
		d = word(dashes, i)
		if (d eq "solid") {
			set linetype i linewidth 1.6 dashtype solid
		} else {
			set linetype i linewidth 1.6 dashtype d
		}
		set linetype i linecolor rgb word(colours, i) pointtype point(word(points, i)) pointsize 0.5
	}
	set key outside right top vertical Left reverse samplen 3
	set grid ytics linecolor rgb "#E3E3E3" linetype 1 linewidth 0.6
	set border 3 linecolor rgb "#8A8A8A"
	set tics nomirror textcolor rgb "#1F1F1F"
}
# A value that is not to be taken at face value; docs/figures.md says what each status means.
doubt(s) = s eq "client-limited" || s eq "suspect" || s eq "void"
if (!ascii) {
	set label 100 "○ in doubt (client-limited, suspect)   × not supported   ↑ infinite      reasons: summary.tsv" \
		at screen 0.02, screen 0.02 font ",7" textcolor rgb "#5F5F5F"
	set bmargin 4.5
}
set datafile separator tab
set datafile missing NaN
set title title."\n".origin
