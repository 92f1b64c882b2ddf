// Go's net/http when a reply is lost: run by server/tests/lost_replies.rs with the node's port, and
// with a key to send or none.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	client := &http.Client{Timeout: time.Second}
	node := "http://127.0.0.1:" + os.Args[1]
	// Read to its end, so that the connection is used again.
	before, err := client.Get(node + "/count")
	if err != nil {
		panic(err)
	}
	io.Copy(io.Discard, before.Body)
	before.Body.Close()
	path := node + "/counters/visits/increment"
	request, _ := http.NewRequest("POST", path, strings.NewReader(`{"by":1}`))
	if len(os.Args) > 2 {
		request.Header.Set("Idempotency-Key", os.Args[2])
	}
	answer, err := client.Do(request)
	if err != nil {
		fmt.Println("not known:", err)
		return
	}
	fmt.Println("counted:", answer.Status)
}
