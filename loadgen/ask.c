// SPDX-License-Identifier: MIT
#include "loadgen/ask.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/parse.h"
#include "loadgen/random.h"

/* RFC 9110, 5.6.2. */
static size_t token_length(const char *text)
{
	size_t n = 0;

	while (isalnum((unsigned char)text[n]) || (text[n] && strchr("!#$%&'*+-.^_`|~", text[n])))
		n++;
	return n;
}

const char *ask_check_method(const char *method)
{
	size_t length = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-");

	if (!length || method[length] || length > ASK_METHOD_LENGTH)
		return "a method of 1 to 16 capital letters, as POST";
	if (strcmp(method, "CONNECT") == 0)
		return "a method of requests that end with their reply; CONNECT opens a tunnel";
	return NULL;
}

/* Is the field of that name? */
static bool field_is(const char *field, const char *name)
{
	size_t length = strlen(name);

	return strncasecmp(field, name, length) == 0 && field[length] == ':';
}

const char *ask_check_field(const char *field)
{
	size_t name = token_length(field), length = strlen(field);

	if (!name || field[name] != ':')
		return "a header field as 'Name: value'";
	if (length > ASK_FIELD_LENGTH)
		return "a header field of at most 8192 characters";
	for (const char *c = field; *c; c++) {
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
			return "a header field without control characters";
	}
	if (field_is(field, "Content-Length") || field_is(field, "Transfer-Encoding"))
		return "a header field other than Content-Length and Transfer-Encoding, which "
		       "follow from --body";
	return NULL;
}

/* Cut the first word off: it ends with a NUL, and what follows its blanks is returned. */
static char *cut_word(char *text)
{
	char *end = text + strcspn(text, " \t");

	if (*end)
		*end++ = '\0';
	return end + strspn(end, " \t");
}

static bool is_class(const char *name)
{
	size_t length = 0;

	while (isalnum((unsigned char)name[length]) || (name[length] && strchr("_-", name[length])))
		length++;
	return isalpha((unsigned char)*name) && !name[length] && length <= ASK_CLASS_LENGTH;
}

/*
 * METHOD PATH [WEIGHT [CLASS]] in `text`, which is cut up. *weight is 0 and *class NULL where there
 * is none.
 */
static const char *parse_line(char *text, struct ask_line *line, int64_t *weight,
			      const char **class)
{
	char *path = cut_word(text), *number = cut_word(path), *name = cut_word(number);
	const char *wrong;

	if (!*path)
		return "not METHOD PATH [WEIGHT [CLASS]]";
	*weight = 0;
	if (*number && !parse_int(number, 1, ASK_WEIGHT, weight))
		return "its weight is not a whole number from 1 to 1000000";
	*class = *name ? name : NULL;
	if (*class && !is_class(name))
		return "its class is not a name of at most 16 letters, digits, _ and -, a letter "
		       "first";
	wrong = ask_check_method(text);
	if (wrong)
		return "its method is not one of 1 to 16 capital letters (and not CONNECT)";
	if (*path != '/' || strlen(path) >= sizeof(((struct target *)NULL)->path))
		return "its path is not /… of at most 2047 characters";
	for (const char *c = path; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '#')
			return "its path has a control character or a fragment";
	}
	line->method = text;
	line->path = path;
	return NULL;
}

/* Its index, new or not; ASK_CLASSES where there is no room for one more. */
static size_t class_index(struct http_ask *ask, const char *name)
{
	size_t i = 0;

	while (i < ask->class_count && strcmp(ask->classes[i], name) != 0)
		i++;
	if (i == ask->class_count && i < ASK_CLASSES)
		ask->classes[ask->class_count++] = name;
	return i;
}

static size_t count_lines(const char *text)
{
	size_t n = 1;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

const char *ask_parse_lines(struct http_ask *ask, char *text, char *reason, size_t size)
{
	size_t most = count_lines(text), number = 0, weighted = 0, classed = 0;
	uint64_t sum = 0;

	if (most > ASK_LINES + 1) {
		snprintf(reason, size, "it has more than %d lines", ASK_LINES);
		return reason;
	}
	ask->lines = calloc(most, sizeof(*ask->lines));
	if (!ask->lines)
		return "out of memory";
	for (char *next; text; text = next) {
		struct ask_line *line = &ask->lines[ask->line_count];
		const char *wrong, *class = NULL;
		int64_t weight = 0;
		size_t end;

		number++;
		next = strchr(text, '\n');
		if (next)
			*next++ = '\0';
		text += strspn(text, " \t");
		for (end = strlen(text); end && strchr(" \t\r", text[end - 1]); end--)
			text[end - 1] = '\0';
		if (!*text || *text == '#')
			continue;
		wrong = parse_line(text, line, &weight, &class);
		weighted += weight > 0;
		ask->line_count++;
		if (!wrong && weighted && weighted != ask->line_count)
			wrong = "either all lines have a weight, or none has";
		classed += class != NULL;
		if (!wrong && classed && classed != ask->line_count)
			wrong = "either all lines have a class, or none has";
		if (!wrong && class)
			line->class = class_index(ask, class);
		if (!wrong && line->class == ASK_CLASSES)
			wrong = "there are more than 4 classes";
		if (wrong) {
			snprintf(reason, size, "line %zu: %s", number, wrong);
			return reason;
		}
		sum += (uint64_t)weight;
		line->upto = sum;
	}
	return ask->line_count ? NULL : "it has no request";
}

void ask_free_lines(struct http_ask *ask)
{
	free(ask->lines);
	ask->lines = NULL;
	ask->line_count = 0;
	ask->class_count = 0;
}

size_t ask_count(const struct http_ask *ask)
{
	return ask && ask->line_count ? ask->line_count : 1;
}

size_t ask_pick(const struct http_ask *ask, uint64_t seed, uint32_t id, uint32_t number)
{
	size_t low = 0, high = ask_count(ask) - 1;
	uint64_t sum = ask->line_count ? ask->lines[high].upto : 0, drawn;

	if (high == 0)
		return 0;
	if (sum == 0)
		return number % ask->line_count;
	/* A function of its arguments alone: a request that is sent in parts is asked for again. */
	seed = random_seed(seed, 1) ^ ((uint64_t)id << 32 | number);
	drawn = random_word(&seed) % sum;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (drawn < ask->lines[middle].upto)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

double ask_class_share(const struct http_ask *ask, size_t class)
{
	uint64_t before = 0, sum = 0;

	for (size_t i = 0; i < ask->line_count; i++) {
		if (ask->lines[i].class == class)
			sum += ask->lines[i].upto - before;
		before = ask->lines[i].upto;
	}
	return before ? (double)sum / (double)before : 0;
}

/* The Host field: a name has its port unless it is http's own, an IPv6 address has brackets. */
static void print_host(FILE *out, const struct target *target)
{
	bool v6 = !target->local && strchr(target->host, ':');

	fprintf(out, "Host: %s%s%s", v6 ? "[" : "", target->local ? "localhost" : target->host,
		v6 ? "]" : "");
	if (!target->local && target->port != 80)
		fprintf(out, ":%u", target->port);
	fputs("\r\n", out);
}

static bool has_host(const struct http_ask *ask)
{
	for (size_t i = 0; i < ask->field_count; i++) {
		if (field_is(ask->fields[i], "Host"))
			return true;
	}
	return false;
}

bool ask_render(const struct target *target, size_t i, struct ask_request *out)
{
	static const struct http_ask plain;
	const struct http_ask *ask = target->ask ? target->ask : &plain;
	const struct ask_line *line = ask->line_count ? &ask->lines[i] : NULL;
	const char *method = line          ? line->method
			     : ask->method ? ask->method
			     : ask->body   ? "POST"
					   : "GET";
	bool carries = strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
		       strcmp(method, "PATCH") == 0;
	bool body = ask->body && (carries || !line);
	FILE *text;

	out->bytes = NULL;
	out->head = strcmp(method, "HEAD") == 0;
	text = open_memstream(&out->bytes, &out->length);
	if (!text)
		return false;
	fprintf(text, "%s %s HTTP/1.1\r\n", method, line ? line->path : target->path);
	if (!has_host(ask))
		print_host(text, target);
	for (size_t f = 0; f < ask->field_count; f++)
		fprintf(text, "%s\r\n", ask->fields[f]);
	/* RFC 9110, 8.6: a method that is given content says its length, be it 0. */
	if (body || carries)
		fprintf(text, "Content-Length: %zu\r\n", body ? ask->body_bytes : 0);
	fputs("\r\n", text);
	if (body)
		fwrite(ask->body, 1, ask->body_bytes, text);
	if (fclose(text) == 0)
		return true;
	free(out->bytes);
	out->bytes = NULL;
	return false;
}
