/* SPDX-License-Identifier: MIT
 * What goes over the wire, for both ends: names and limits of the three protocols.
 */
#ifndef TENK_WIRE_H
#define TENK_WIRE_H

/* rot13: the longest line, without its '\n'. A longer one ends the connection. */
#define ROT13_LINE_MAX 16384

/* http: the longest request head (request line, headers and the empty line), in bytes. 431 beyond.
 */
#define HTTP_HEAD_MAX         8192
/* http: the longest request body that is read (and ignored), in bytes. 413 beyond. */
#define HTTP_REQUEST_BODY_MAX 65536
/* http: the largest N of /bytes/N, in bytes. 404 beyond. */
#define HTTP_BYTES_MAX        (1LL << 30)
/* http: the largest US of /work/US and /sleep/US, in microseconds. 404 beyond. */
#define HTTP_PAUSE_US_MAX     1000000LL
/* http: the body of GET /. */
#define HTTP_ROOT_BODY        "hello, tenk\n"
/* http: the body of /bytes/N repeats this pattern from its start. */
#define HTTP_BYTES_PATTERN    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"

#endif
