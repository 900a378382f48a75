// SPDX-License-Identifier: MIT

// What goroutines cost without net/http: each connection has one, which blocks in Read. The
// runtime parks it on epoll and gives its thread to another.
package main

import (
	"log"
	"net"
	"os"
)

const bufferBytes = 4096

func serve(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, bufferBytes)
	for {
		n, err := conn.Read(buffer)
		if n > 0 {
			if _, err := conn.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(conn)
	}
}
