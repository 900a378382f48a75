// SPDX-License-Identifier: MIT
/*
 * Request files, methods and header fields, on any text: what is taken makes requests that are one
 * head and its body, and no more; what is refused is told why; each number of each connection is one
 * of the requests.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loadgen/ask.h"
#include "tests/fuzz/fuzz.h"

static void check(bool sound, const char *wrong, const char *text, const char *out)
{
	struct text in = {0}, got = {0};

	if (sound)
		return;
	text_add(&in, text, strlen(text));
	text_add(&got, out, strlen(out));
	fuzz_fail(wrong, &in, &got);
}

static void check_request(const struct target *target, size_t i, const char *text)
{
	const struct http_ask *ask = target->ask;
	struct ask_request one;
	const char *end;
	size_t body;

	check(ask_render(target, i, &one), "out of memory", text, "");
	end = strstr(one.bytes, "\r\n\r\n");
	check(end, "a head without an end", text, one.bytes);
	body = one.length - (size_t)(end + 4 - one.bytes);
	check(body == 0 || body == ask->body_bytes, "a body that is not ours", text, one.bytes);
	for (const char *c = one.bytes; c < end; c++)
		check((*c != '\n' || c[-1] == '\r') && (*c != '\r' || c[1] == '\n') && *c,
		      "a line end within a line", text, one.bytes);
	check(strchr(one.bytes, ' ') < strstr(one.bytes, " HTTP/1.1\r\n"), "no path", text,
	      one.bytes);
	free(one.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), *lines = strdup(text), reason[256] = "";
	const char *field = text;
	struct http_ask ask = {.body = "abc", .body_bytes = 3};
	struct target target = {.protocol = PROTOCOL_HTTP, .host = "h", .path = "/", .port = 80};
	const char *wrong = ask_parse_lines(&ask, lines, reason, sizeof(reason));

	target.ask = &ask;
	if (wrong) {
		check(*wrong != '\0', "refused without a reason", text, "");
	} else {
		check(ask_count(&ask) <= ASK_LINES, "more lines than allowed", text, "");
		for (size_t i = 0; i < ask_count(&ask); i++)
			check_request(&target, i, text);
		for (uint32_t n = 0; n < 64; n++)
			check(ask_pick(&ask, 1, n, n * n) < ask_count(&ask), "not one of them",
			      text, "");
	}
	ask_free_lines(&ask);
	if (!ask_check_field(field)) {
		ask.fields = &field;
		ask.field_count = 1;
		check_request(&target, 0, text);
	}
	if (!ask_check_method(text)) {
		ask.method = text;
		check_request(&target, 0, text);
	}
	free(lines);
	free(text);
	return 0;
}
