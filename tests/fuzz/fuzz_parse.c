// SPDX-License-Identifier: MIT
/*
 * The option parsers, on any text: a value they take is in range and means what the text says; a
 * text they refuse leaves the result alone. The first byte chooses the range.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "common/parse.h"
#include "tests/fuzz/fuzz.h"

static void check(bool sound, const char *wrong, const char *text)
{
	struct text in = {0}, out = {0};

	if (sound)
		return;
	text_add(&in, text, strlen(text));
	text_add(&out, "", 0);
	fuzz_fail(wrong, &in, &out);
}

/* The value of [+-]digits[kMG] in 128 bits, where nothing a parser takes can overflow. */
static bool meaning(const char *text, int step, __int128 *value)
{
	bool negative = *text == '-';
	int digits = 0;

	*value = 0;
	text += *text == '-' || *text == '+';
	for (; isdigit((unsigned char)*text); text++, digits++) {
		if (*value < (__int128)1 << 80)
			*value = *value * 10 + (*text - '0');
	}
	if (*text && step > 1 && strchr("kMG", *text)) {
		for (const char *s = "kMG";; s++) {
			*value *= step;
			if (*s == *text)
				break;
		}
		text++;
	}
	if (negative)
		*value = -*value;
	return digits && !*text;
}

static void whole_number(const char *text, int step, int64_t min, int64_t max,
			 bool (*parse)(const char *, int64_t, int64_t, int64_t *))
{
	const int64_t untouched = min == 42 ? 43 : 42;
	int64_t value = untouched;
	bool taken = parse(text, min, max, &value);
	__int128 due;
	bool sound = meaning(text, step, &due) && due >= min && due <= max;

	check(taken == sound, sound ? "refused" : "taken", text);
	check(value == (taken ? (int64_t)due : untouched), "another value", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t ranges[][2] = {{INT64_MIN, INT64_MAX}, {0, 65535}, {1, 1}, {-5, 5}};
	const int64_t *range = ranges[size ? data[0] % 4 : 0];
	int64_t ns = -1;
	double number = -1;
	char *text;

	if (!size)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	whole_number(text, 1, range[0], range[1], parse_int);
	whole_number(text, 1000, range[0], range[1], parse_count);
	whole_number(text, 1024, range[0], range[1], parse_size);
	if (parse_number(text, 0.5, 1e9, &number))
		check(number >= 0.5 && number <= 1e9 && isdigit((unsigned char)*text), "number",
		      text);
	else
		check(number == -1, "refused but stored", text);
	if (parse_duration_ns(text, 0, INT64_MAX, &ns))
		check(ns >= 0 && isdigit((unsigned char)*text), "duration", text);
	else
		check(ns == -1, "refused but stored", text);
	free(text);
	return 0;
}
