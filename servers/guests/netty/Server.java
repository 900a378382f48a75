// SPDX-License-Identifier: MIT

import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpVersion;
import java.nio.charset.StandardCharsets;

/** HTTP on Netty: its codec takes requests apart, this handler is called with each. */
public class Server {
	private static final byte[] BODY = "hello, tenk\n".getBytes(StandardCharsets.US_ASCII);

	private static class Answer extends SimpleChannelInboundHandler<HttpObject> {
		@Override
		protected void channelRead0(ChannelHandlerContext context, HttpObject message) {
			if (!(message instanceof HttpRequest))
				return; // the rest of one that was answered
			boolean head = ((HttpRequest) message).method().equals(HttpMethod.HEAD);
			ByteBuf body = head ? Unpooled.EMPTY_BUFFER : Unpooled.wrappedBuffer(BODY);
			FullHttpResponse reply =
				new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.OK, body);
			reply.headers().setInt(HttpHeaderNames.CONTENT_LENGTH, BODY.length);
			context.write(reply);
		}

		/** All that had come is answered: send the replies together. */
		@Override
		public void channelReadComplete(ChannelHandlerContext context) {
			context.flush();
		}

		@Override
		public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
			context.close(); // the client has reset the connection
		}
	}

	public static void main(String[] words) throws InterruptedException {
		EventLoopGroup loops = new NioEventLoopGroup(Integer.parseInt(words[1]));
		new ServerBootstrap()
			.group(loops)
			.channel(NioServerSocketChannel.class)
			.option(ChannelOption.SO_BACKLOG, 4096)
			.childHandler(new ChannelInitializer<SocketChannel>() {
				@Override
				protected void initChannel(SocketChannel channel) {
					channel.pipeline().addLast(new HttpServerCodec(), new Answer());
				}
			})
			.bind("127.0.0.1", Integer.parseInt(words[0]))
			.sync()
			.channel()
			.closeFuture()
			.sync();
	}
}
