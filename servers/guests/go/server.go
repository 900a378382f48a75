// SPDX-License-Identifier: MIT

// Go's own HTTP server. Serve starts a goroutine per connection; each blocks in Read, and
// the runtime's poller (epoll) wakes it.
package main

import (
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
)

const pattern = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"

func root(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Length", "12")
	w.Write([]byte("hello, tenk\n"))
}

func bytes(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/bytes/"))
	if err != nil || n < 0 || n > 1<<30 {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(n))
	body := []byte(strings.Repeat(pattern, 1024))
	for r.Method != http.MethodHead && n > 0 {
		if n < len(body) {
			body = body[:n]
		}
		if _, err := w.Write(body); err != nil {
			return
		}
		n -= len(body)
	}
}

func main() {
	http.HandleFunc("/", root)
	http.HandleFunc("/bytes/", bytes)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
