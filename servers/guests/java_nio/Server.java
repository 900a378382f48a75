// SPDX-License-Identifier: MIT

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;

/** HTTP on a Selector: it says which channels are ready; each is read, and answered, at once. */
public class Server {
	private static final byte[] HEAD =
		"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n".getBytes(StandardCharsets.US_ASCII);
	private static final byte[] BODY = "hello, tenk\n".getBytes(StandardCharsets.US_ASCII);

	/** A connection: what it has sent of a request, and what it is still to be sent. */
	private static class Connection {
		final ByteBuffer in = ByteBuffer.allocate(8192);
		final ByteBuffer out = ByteBuffer.allocate(65536);
		boolean ended;

		/** Answer the requests that are whole, as far as there is room for replies. */
		void answer() {
			int start = 0;
			for (int i = 3; i < in.position(); i++) {
				if (in.get(i) != '\n' || in.get(i - 1) != '\r' || in.get(i - 2) != '\n' || i - start < 3)
					continue;
				if (out.remaining() < HEAD.length + BODY.length)
					break;
				out.put(HEAD);
				if (in.get(start) != 'H') // HEAD is answered without a body
					out.put(BODY);
				start = i + 1;
			}
			in.flip().position(start);
			in.compact();
		}
	}

	public static void main(String[] args) throws IOException {
		Selector selector = Selector.open();
		ServerSocketChannel listener = ServerSocketChannel.open();
		listener.bind(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 4096);
		listener.configureBlocking(false);
		listener.register(selector, SelectionKey.OP_ACCEPT);
		while (true) {
			selector.select();
			Iterator<SelectionKey> ready = selector.selectedKeys().iterator();
			while (ready.hasNext()) {
				SelectionKey key = ready.next();
				ready.remove();
				try {
					if (key.isAcceptable())
						accept(listener, selector);
					else
						serve(key);
				} catch (IOException gone) {
					key.channel().close();
				}
			}
		}
	}

	private static void accept(ServerSocketChannel listener, Selector selector) throws IOException {
		SocketChannel channel = listener.accept();
		if (channel == null)
			return;
		channel.configureBlocking(false);
		channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
		channel.register(selector, SelectionKey.OP_READ, new Connection());
	}

	private static void serve(SelectionKey key) throws IOException {
		SocketChannel channel = (SocketChannel) key.channel();
		Connection c = (Connection) key.attachment();
		boolean blocked = false;
		while (!blocked) {
			if (!c.ended && c.in.hasRemaining() && channel.read(c.in) < 0)
				c.ended = true;
			c.answer();
			if (c.in.position() == c.in.capacity() && c.out.position() == 0)
				throw new IOException("a head that is too long");
			if (c.out.position() == 0)
				break;
			c.out.flip();
			channel.write(c.out);
			blocked = c.out.hasRemaining();
			c.out.compact();
		}
		if (c.ended && !blocked) {
			channel.close();
			return;
		}
		key.interestOps(blocked ? SelectionKey.OP_WRITE : SelectionKey.OP_READ);
	}
}
