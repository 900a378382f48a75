// SPDX-License-Identifier: MIT
/*
 * rot13, against an oracle that reads the whole stream at once. The input is laid out as that of
 * fuzz_http.
 */
#include <stdio.h>

#include "tests/fuzz/fuzz.h"
#include "tests/lib/oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text stream = {0}, due = {0};
	struct drive d;
	const char *wrong;
	bool too_long;

	if (size < 2)
		return 0;
	fuzz_unfold(&stream, data + 2, size - 2);
	too_long = oracle_rot13(stream.data, stream.len, &due);
	drive_open(&d, &proto_rot13, proto_rot13.min_buffer + 64u * data[0]);
	drive_stream(&d, stream.data, stream.len, data[1] ? 64u * data[1] - 63 : stream.len);
	wrong = d.complaint;
	if (!wrong &&
	    (d.said.len != due.len || (due.len && memcmp(d.said.data, due.data, due.len))))
		wrong = "not the rot13 of the lines";
	if (!wrong && d.dialogue.closing != too_long)
		wrong = too_long ? "a line is too long and it goes on" : "it closes without need";
	if (wrong)
		fuzz_fail(wrong, &stream, &d.said);
	drive_close(&d);
	text_free(&due);
	text_free(&stream);
	return 0;
}
