// SPDX-License-Identifier: MIT
/*
 * The http parser, against an oracle that reads the whole stream at once (tests/lib/oracle.h).
 *
 * Input: byte 0 is the buffer's size above the smallest, in steps of 64; byte 1 the pieces the rest
 * arrives in (0: all at once). In the rest a byte of 0xf0 or more stands for 2^(byte - 0xf0 + 1)
 * letters "a", so that the limits on lengths are a few mutations away.
 */
#include <stdio.h>

#include "tests/fuzz/fuzz.h"
#include "tests/lib/oracle.h"

#define MUCH (256 * 1024) /* bytes of output that are worth comparing */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_due due;
	struct text stream = {0};
	struct drive d;
	const char *wrong;

	if (size < 2)
		return 0;
	fuzz_unfold(&stream, data + 2, size - 2);
	oracle_http(stream.data, stream.len, &due);
	if (due.body_bytes <= MUCH && due.pause_us == 0) {
		drive_open(&d, &proto_http, proto_http.min_buffer + 64u * data[0]);
		drive_stream(&d, stream.data, stream.len, data[1] ? data[1] : stream.len);
		wrong = d.complaint ? d.complaint : oracle_check(&due, d.said.data, d.said.len);
		if (!wrong && !due.unsure && d.dialogue.closing != due.closes)
			wrong = due.closes ? "it must close and does not"
					   : "it closes without need";
		if (!wrong && !due.unsure && d.requests != due.n)
			wrong = "it counts another number of requests";
		if (wrong)
			fuzz_fail(wrong, &stream, &d.said);
		drive_close(&d);
	}
	text_free(&stream);
	return 0;
}
