// SPDX-License-Identifier: MIT
/* graded: ok; cause: -; points: 20 of 20
 *
 * It tries to read, write, kill and call what is not its own, and cannot.
 */
#define AT_START() pry()
static void pry(void);
#include "plain.h"

static void pry(void)
{
	struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(53)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, "192.0.2.1", &far.sin_addr);
	if (connect(fd, (struct sockaddr *)&far, sizeof(far)) == 0)
		abort(); /* there is a way to the network */
	close(fd);
	if (open("/etc/shadow", O_RDONLY) >= 0 || open("/usr/mine", O_CREAT | O_WRONLY, 0600) >= 0)
		abort();
	if (access("/home", F_OK) == 0 || access("/root", F_OK) == 0 || access("/var", F_OK) == 0)
		abort(); /* files of others can be seen */
	if (getuid() == 0)
		abort();
	kill(-1, SIGKILL); /* everybody it may reach: nobody */
}
