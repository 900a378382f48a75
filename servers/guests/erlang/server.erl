%% SPDX-License-Identifier: MIT
%%
%% HTTP with gen_tcp: a process of Erlang's per connection. {packet, http_bin} lets the runtime take
%% requests apart, {active, false} lets the process ask for what comes next and sleep until then.
-module(server).
-export([start/1]).

-define(BODY, "hello, tenk\n").

start([Port]) ->
	{ok, Listener} = gen_tcp:listen(list_to_integer(atom_to_list(Port)),
		[binary, {ip, {127, 0, 0, 1}}, {packet, http_bin}, {active, false},
		 {reuseaddr, true}, {nodelay, true}, {backlog, 4096}]),
	accept(Listener).

%% The new process owns the socket: when the process ends, the runtime closes it.
accept(Listener) ->
	case gen_tcp:accept(Listener) of
		{ok, Socket} ->
			Connection = spawn(fun() -> receive go -> request(Socket) end end),
			ok = gen_tcp:controlling_process(Socket, Connection),
			Connection ! go;
		{error, _} -> % out of descriptors, perhaps: they come back
			timer:sleep(10)
	end,
	accept(Listener).

request(Socket) ->
	case gen_tcp:recv(Socket, 0) of
		{ok, {http_request, Method, _Path, _Version}} -> header(Socket, Method);
		_ -> gen_tcp:close(Socket)
	end.

header(Socket, Method) ->
	case gen_tcp:recv(Socket, 0) of
		{ok, http_eoh} -> reply(Socket, Method);
		{ok, {http_header, _, _, _, _}} -> header(Socket, Method);
		_ -> gen_tcp:close(Socket)
	end.

reply(Socket, Method) ->
	Body = case Method of 'HEAD' -> ""; _ -> ?BODY end,
	Head = ["HTTP/1.1 200 OK\r\nContent-Length: ", integer_to_list(length(?BODY)), "\r\n\r\n"],
	case gen_tcp:send(Socket, [Head, Body]) of
		ok -> request(Socket);
		{error, _} -> gen_tcp:close(Socket)
	end.
