// SPDX-License-Identifier: MIT
'use strict';

// Node's own HTTP server: one thread runs all JavaScript, libuv waits for its sockets with epoll.
const http = require('http');

const pattern = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n';

function body(url) {
	if (url === '/')
		return 'hello, tenk\n';
	const found = /^\/bytes\/(\d{1,9})$/.exec(url);
	if (!found)
		return null;
	const n = Number(found[1]);
	return pattern.repeat(Math.ceil(n / pattern.length)).slice(0, n);
}

const server = http.createServer((request, response) => {
	const text = body(request.url);
	if (text === null) {
		response.writeHead(404, {'Content-Length': 0});
		response.end();
		return;
	}
	response.writeHead(200, {'Content-Type': 'text/plain', 'Content-Length': text.length});
	response.end(text);
});

server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.headersTimeout = 0;
server.listen({host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096});
