// SPDX-License-Identifier: MIT
/* --stamps kernel: when a reply arrived here, before anybody had woken to read it; and --way. */
#include "loadgen/session_state.h"

void traffic_departed(struct traffic *t, const struct lane *c, uint64_t stamp_ns)
{
	struct session *s = session_of(t);

	if (s->departed && stamp_ns)
		s->departed[index_of(s, c)] = stamp_ns;
}

void arrival_record(struct session *s, const struct lane *c, const struct stamp *stamp)
{
	uint64_t arrived_ns =
		stamps_within(&s->stamps_clock, s->traffic.arrived_ns, stamp->sent_ns, s->now_ns);
	struct way_row row = {
		.connection = id_of(s, c),
		.number = c->answered - 1,
		.intended_ns = stamp->intended_ns,
		.sent_ns = stamp->sent_ns,
		.arrived_ns = arrived_ns,
		.received_ns = s->now_ns,
	};

	if (arrived_ns)
		hist_record(&s->record->arrival, arrived_ns - stamp->sent_ns);
	else
		s->record->unstamped++;
	if (!s->way)
		return;
	row.departed_ns = stamps_within(&s->stamps_clock, s->departed[index_of(s, c)],
					stamp->sent_ns, arrived_ns ? arrived_ns : s->now_ns);
	s->departed[index_of(s, c)] = 0;
	way_add(s->way, &row);
}

void arrival_clock(struct session *s)
{
	stamps_clock_measure(&s->stamps_clock);
	s->record->stamps_error_ns = s->stamps_clock.error_ns;
	s->record->stamps_steps = s->stamps_clock.steps;
}
