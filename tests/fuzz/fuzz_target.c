// SPDX-License-Identifier: MIT
/*
 * The load generator's URLs, address lists and CPU lists, on any text: what is taken has all its
 * parts, and means the same when it is put together again; what is refused is told why.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loadgen/target.h"
#include "tests/fuzz/fuzz.h"

enum { LIST = 64 };

static void check(bool sound, const char *wrong, const char *text)
{
	struct text in = {0}, out = {0};

	if (sound)
		return;
	text_add(&in, text, strlen(text));
	text_add(&out, "", 0);
	fuzz_fail(wrong, &in, &out);
}

static void check_url(const char *url)
{
	struct target target, again;
	const char *allowed = target_parse(url, &target);
	char whole[sizeof(target.host) + sizeof(target.path) + 32];

	if (allowed) {
		check(*allowed != '\0', "refused without a reason", url);
		return;
	}
	check(*target.host && !strpbrk(target.host, " \r\n"), "a host that is none", url);
	check(target.local || !strpbrk(target.host, "/@[]?"), "a host that is none", url);
	check(target.local == (target.port == 0), "no port", url);
	check(*target.path == '/' && !strpbrk(target.path, " #\r\n"), "a path that is none", url);
	if (target.local)
		snprintf(whole, sizeof(whole), "%s://unix:%s:%s", protocol_name(target.protocol),
			 target.host, target.path);
	else
		snprintf(whole, sizeof(whole), "%s://%s%s%s:%u%s", protocol_name(target.protocol),
			 strchr(target.host, ':') ? "[" : "", target.host,
			 strchr(target.host, ':') ? "]" : "", target.port, target.path);
	check(!target_parse(whole, &again), "taken once, but not put together again", url);
	check(again.port == target.port && again.local == target.local &&
		      strcmp(again.host, target.host) == 0 && strcmp(again.path, target.path) == 0,
	      "another meaning when put together again", url);
}

static void check_lists(const char *text)
{
	uint32_t addresses[LIST];
	int cpus[LIST];
	size_t n = cpus_parse(text, cpus, LIST);

	check(n <= LIST, "more CPUs than fit", text);
	for (size_t i = 0; i < n; i++)
		check(cpus[i] >= 0 && cpus[i] <= 4095, "a CPU out of range", text);
	check(sources_parse(text, addresses, LIST) <= LIST, "more addresses than fit", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	check_url(text);
	check_lists(text);
	free(text);
	return 0;
}
