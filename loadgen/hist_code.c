// SPDX-License-Identifier: MIT
#include "loadgen/hist_code.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* "V2" cookies; the 0x10 says that counts are ZigZag LEB128 words of up to 9 bytes. */
#define COOKIE            UINT32_C(0x1c849313)
#define COOKIE_COMPRESSED UINT32_C(0x1c849314)

#define HEADER_BYTES    40 /* of the encoded histogram before its counts */
#define WORD_BYTES      9  /* the most one count takes */
#define COMPRESSED_HEAD 8  /* cookie and length before the zlib stream */

static uint8_t *put_be32(uint8_t *to, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*to++ = (uint8_t)(value >> shift);
	return to;
}

static uint8_t *put_be64(uint8_t *to, uint64_t value)
{
	return put_be32(put_be32(to, (uint32_t)(value >> 32)), (uint32_t)value);
}

/*
 * ZigZag LEB128, the 64b9B variant: seven bits a byte, least first, but the ninth byte carries all
 * eight, so that 64 bits fit in nine bytes and not ten.
 */
static uint8_t *put_word(uint8_t *to, int64_t value)
{
	uint64_t twice = (uint64_t)value << 1;
	uint64_t zigzag = value < 0 ? ~twice : twice;

	for (int i = 1; i < WORD_BYTES && zigzag > 0x7f; i++) {
		*to++ = (uint8_t)(zigzag | 0x80);
		zigzag >>= 7;
	}
	*to++ = (uint8_t)zigzag;
	return to;
}

/* Counts up to the last one in use; a run of two or more zeros is one negative word. */
static uint8_t *put_counts(uint8_t *to, const struct hist *h)
{
	struct hist_iter it = hist_iter(h);
	uint32_t next = 0;

	while (hist_next(&it)) {
		uint32_t zeros = it.index - next;

		if (zeros)
			to = put_word(to, zeros == 1 ? 0 : -(int64_t)zeros);
		to = put_word(to, (int64_t)it.count);
		next = it.index + 1;
	}
	return next ? to : put_word(to, 0);
}

size_t hist_encode(uint8_t *raw, const struct hist *h)
{
	static const double ratio = 1.0; /* integer to double values, of DoubleHistogram only */
	uint8_t *end = put_counts(raw + HEADER_BYTES, h);
	uint64_t ratio_bits;
	uint8_t *to = raw;

	memcpy(&ratio_bits, &ratio, sizeof(ratio_bits));
	to = put_be32(to, COOKIE);
	to = put_be32(to, (uint32_t)(end - raw - HEADER_BYTES));
	to = put_be32(to, 0); /* normalizing index offset: counters were never shifted */
	to = put_be32(to, HIST_DIGITS);
	to = put_be64(to, HIST_LOWEST_NS);
	to = put_be64(to, HIST_HIGHEST_NS);
	to = put_be64(to, ratio_bits);
	assert(to == raw + HEADER_BYTES);
	return (size_t)(end - raw);
}

static char *base64(const uint8_t *data, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((len + 2) / 3 * 4 + 1), *to = text;

	for (size_t i = 0; text && i < len; i += 3) {
		uint32_t left = (uint32_t)(len - i < 3 ? len - i : 3);
		uint32_t bits = (uint32_t)data[i] << 16;

		bits |= left > 1 ? (uint32_t)data[i + 1] << 8 : 0;
		bits |= left > 2 ? (uint32_t)data[i + 2] : 0;
		for (uint32_t j = 0; j < 4; j++)
			*to++ = j <= left ? digits[bits >> (18 - 6 * j) & 63] : '=';
	}
	if (text)
		*to = '\0';
	return text;
}

char *hist_text(const uint8_t *encoded, size_t len)
{
	uLongf packed = compressBound(len);
	uint8_t *bytes = malloc(COMPRESSED_HEAD + packed);
	char *text = NULL;

	if (!bytes)
		return NULL;
	/* The buffer is as long as zlib can need, so what fails is its memory. */
	if (compress2(bytes + COMPRESSED_HEAD, &packed, encoded, len, Z_DEFAULT_COMPRESSION) ==
	    Z_OK) {
		put_be32(put_be32(bytes, COOKIE_COMPRESSED), (uint32_t)packed);
		text = base64(bytes, COMPRESSED_HEAD + packed);
	} else {
		errno = ENOMEM;
	}
	free(bytes);
	return text;
}
