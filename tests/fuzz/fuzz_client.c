// SPDX-License-Identifier: MIT
/*
 * The load generator's client: what it makes of a server's bytes must not depend on the pieces they
 * come in, nor on whether it has seen such a reply before, and only the due bytes may pass.
 *
 * Input: byte 0 is the protocol (mod 5) and, with bit 7, "no verification"; byte 1 the pieces (0:
 * all at once); byte 2 the size of an echo or rot13 request, less one. For http, memcached and redis the rest are
 * the server's bytes. For echo and rot13 the server's bytes are the right ones, and the rest are edits
 * to them, three bytes each: place, what to do (flip, drop, insert, copy), and with what.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loadgen/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGES = 4, RESULTS = 64, STREAM = MESSAGES * 256 + 4096, ID = 70001, FIRST = 41 };

/* What came of a stream: the result of each reply and where it ended. */
struct outcome {
	size_t count;
	enum reply_result results[RESULTS];
	size_t ends[RESULTS];
	bool closes;
};

static _Noreturn void fail(const char *wrong)
{
	fprintf(stderr, "WRONG: %s\n", wrong);
	abort();
}

static struct client make_client(unsigned int protocol, size_t size, bool verify)
{
	static const char *const urls[] = {"echo://h:1", "http://h:1/", "rot13://h:1",
					   "memcached://h:1/k", "redis://h:1/k"};
	struct target target;
	struct client client;

	if (target_parse(urls[protocol], &target) ||
	    !client_init(&client, &target, size, 1, verify, 1))
		fail("no client");
	return client;
}

/* Feed a stream in pieces, each in memory of its own so that reading past it is seen. */
static void feed(struct client *client, const char *stream, size_t length, size_t piece,
		 struct outcome *o)
{
	struct reply reply = {0};
	uint32_t number = FIRST;
	char said[256];

	memset(o, 0, sizeof(*o));
	for (size_t at = 0; at < length;) {
		size_t n = piece && piece < length - at ? piece : length - at;
		char *copy = malloc(n);

		memcpy(copy, stream + at, n);
		for (size_t done = 0; done < n;) {
			size_t used = n;
			enum reply_result result = client_feed(client, &reply, ID, number,
							       copy + done, n - done, &used);

			if (used > n - done || (result == REPLY_MORE && used != n - done))
				fail("it used another number of bytes than there were");
			if (result == REPLY_GARBAGE || result == REPLY_MISMATCH)
				client_explain(client, &reply, ID, number, copy + done, n - done,
					       said, sizeof(said));
			done += used;
			if (result == REPLY_MORE)
				break;
			if (o->count < RESULTS) {
				o->results[o->count] = result;
				o->ends[o->count++] = at + done;
			}
			if (result == REPLY_GARBAGE || result == REPLY_MISMATCH) {
				free(copy);
				return;
			}
			o->closes = reply_closes(&reply);
			number++;
		}
		free(copy);
		at += n;
	}
}

/* The same replies, at the same places; where a bad one was noticed may differ. */
static void compare(const struct outcome *a, const struct outcome *b, const char *wrong)
{
	if (a->count != b->count || a->closes != b->closes)
		fail(wrong);
	for (size_t i = 0; i < a->count; i++) {
		bool good = a->results[i] == REPLY_DONE || a->results[i] == REPLY_STATUS;

		if (a->results[i] != b->results[i] || (good && a->ends[i] != b->ends[i]))
			fail(wrong);
	}
}

static unsigned char rot13(unsigned char c)
{
	if (c >= 'a' && c <= 'z')
		return (unsigned char)((c - 'a' + 13) % 26 + 'a');
	if (c >= 'A' && c <= 'Z')
		return (unsigned char)((c - 'A' + 13) % 26 + 'A');
	return c;
}

/* The replies a right server would give. */
static size_t right_replies(const struct client *client, char *stream)
{
	size_t size = client->request_bytes, total = MESSAGES * size, length;
	const char *out = client_produce(client, ID, FIRST, 0, total, stream, STREAM, &length);

	if (length != total || out != stream)
		fail("requests were not produced as asked");
	for (size_t i = 0; client->protocol == PROTOCOL_ROT13 && i < total; i++)
		stream[i] = (char)rot13((unsigned char)stream[i]);
	return total;
}

static size_t edit(char *stream, size_t length, const uint8_t *edits, size_t size)
{
	for (; size >= 3 && length && length < STREAM - 256; edits += 3, size -= 3) {
		size_t at = edits[0] * length / 256, n = edits[2] % (length - at) + 1;

		switch (edits[1] % 4) {
		case 0:
			stream[at] ^= (char)edits[2];
			break;
		case 1:
			memmove(stream + at, stream + at + n, length - at - n);
			length -= n;
			break;
		case 2:
			memmove(stream + at + 1, stream + at, length - at);
			stream[at] = (char)edits[2];
			length++;
			break;
		default:
			memcpy(stream + length, stream + at, n < 256 ? n : 256);
			length += n < 256 ? n : 256;
			break;
		}
	}
	return length;
}

/* Replies are right exactly as long as the bytes are. */
static void check_stream(const struct outcome *o, const char *due, const char *stream,
			 size_t length, size_t one, bool verify)
{
	size_t whole = length / one, good = 0;

	while (good < whole &&
	       (!verify ||
		(good < MESSAGES && memcmp(due + good * one, stream + good * one, one) == 0)))
		good++;
	for (size_t i = 0; i < o->count && i < good; i++) {
		if (o->results[i] != REPLY_DONE || o->ends[i] != (i + 1) * one)
			fail("a right reply was refused");
	}
	if (o->count < (good < RESULTS ? good : RESULTS))
		fail("a right reply was not noticed");
	/* What comes after the requests the test knows is compared with what no one has computed.
	 */
	if (verify && good < whole && good < MESSAGES &&
	    (o->count != good + 1 || o->results[good] != REPLY_MISMATCH))
		fail("a wrong reply was let through");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char stream[STREAM], due[STREAM];
	struct outcome whole, pieces, again;
	struct client client, other;
	unsigned int protocol;
	size_t length, one;
	bool verify;

	if (size < 3)
		return 0;
	protocol = (data[0] & 0x7f) % PROTOCOLS;
	verify = !(data[0] & 0x80);
	one = (size_t)data[2] + 1;
	client = make_client(protocol, one, verify);
	other = make_client(protocol, one, verify);
	if (!client_composes(&client)) {
		length = size - 3 < STREAM ? size - 3 : STREAM;
		memcpy(stream, data + 3, length);
	} else {
		right_replies(&client, due);
		memcpy(stream, due, MESSAGES * one);
		length = edit(stream, MESSAGES * one, data + 3, size - 3);
	}
	feed(&client, stream, length, 0, &whole);
	feed(&other, stream, length, data[1], &pieces);
	compare(&whole, &pieces, "another outcome in pieces");
	feed(&client, stream, length, 0, &again);
	compare(&whole, &again, "another outcome the second time");
	if (client_composes(&client))
		check_stream(&whole, due, stream, length, one, verify);
	client_free(&client);
	client_free(&other);
	return 0;
}
