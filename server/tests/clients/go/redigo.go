// redigo against a node, unchanged: run by scripts/test-clients with the node's port.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gomodule/redigo/redis"
)

var pool = &redis.Pool{
	MaxActive: 4,
	MaxIdle:   4,
	Wait:      true,
	Dial:      func() (redis.Conn, error) { return dial() },
	// As its documentation has it: an idle connection is asked before it is lent again.
	TestOnBorrow: func(c redis.Conn, _ time.Time) error { _, err := c.Do("PING"); return err },
}

func dial() (redis.Conn, error) {
	return redis.Dial("tcp", "127.0.0.1:"+os.Args[1], redis.DialReadTimeout(10*time.Second), redis.DialClientName("go"))
}

func do(command string, words ...interface{}) (interface{}, error) {
	conn := pool.Get()
	defer conn.Close()
	return conn.Do(command, words...)
}

func expect(wanted interface{}, found interface{}, err error) {
	if err != nil || fmt.Sprint(wanted) != fmt.Sprint(found) {
		panic(fmt.Sprintf("expected %v, found %v, %v", wanted, found, err))
	}
}

func number(wanted int64, command string, words ...interface{}) {
	found, err := redis.Int64(do(command, words...))
	expect(wanted, found, err)
}

func text(wanted string, command string, words ...interface{}) {
	found, err := redis.String(do(command, words...))
	expect(wanted, found, err)
}

func refusal(wanted string, command string, words ...interface{}) {
	if _, err := do(command, words...); err == nil || !strings.Contains(err.(redis.Error).Error(), wanted) {
		panic(fmt.Sprintf("expected an error with %q, found %v", wanted, err))
	}
}

func counts() {
	number(1, "INCR", "go")
	number(11, "INCRBY", "go", 10)
	number(10, "DECR", "go")
	number(-10, "DECRBY", "go", 20)
	number(-15, "INCRBY", "go", -5)
	number(9223372036854775807, "INCRBY", "go:large", 9223372036854775807)
	refusal("overflow", "INCR", "go:large")
	text("9223372036854775807", "GET", "go:large")
}

func tellsWhatNobodyTouched() {
	if _, err := redis.String(do("GET", "go:nobody")); err != redis.ErrNil {
		panic(err)
	}
	both, err := redis.Values(do("MGET", "go", "go:nobody"))
	expect("[[45 49 53] <nil>]", both, err)
	number(1, "EXISTS", "go", "go:nobody")
}

func takesAnyName() {
	number(1, "INCR", "go:größe 数 \"q\" and spaces")
	text("1", "GET", "go:größe 数 \"q\" and spaces")
}

func pipelines() {
	conn := pool.Get()
	defer conn.Close()
	for n := 0; n < 5000; n++ {
		expect(nil, nil, conn.Send("INCR", "go:pipeline"))
	}
	expect(nil, nil, conn.Flush())
	for n := 1; n <= 5000; n++ {
		found, err := redis.Int(conn.Receive())
		expect(n, found, err)
	}
}

func transacts() {
	conn := pool.Get()
	defer conn.Close()
	conn.Send("MULTI")
	conn.Send("INCR", "go:tx")
	conn.Send("DECRBY", "go:tx", 3)
	found, err := redis.Int64s(conn.Do("EXEC"))
	expect([]int64{1, -2}, found, err)
}

func turnsRefusalsIntoErrors() {
	refusal("APPEND is refused: ", "APPEND", "go", 1)
	refusal("RENAME is refused: ", "RENAME", "go", "other")
	refusal("not an integer", "INCRBY", "go", "x")
	text("still", "PING", "still")
}

func scans() {
	for n := 0; n < 100; n++ {
		number(1, "INCR", fmt.Sprint("go:scan:", n))
	}
	cursor, found := "0", 0
	for first := true; first || cursor != "0"; first = false {
		step, err := redis.Values(do("SCAN", cursor, "MATCH", "go:scan:*", "COUNT", 7))
		var names []string
		_, err = redis.Scan(step, &cursor, &names)
		expect(nil, nil, err)
		found += len(names)
	}
	expect(100, found, nil)
}

func countsFromManyTasksThroughAPool() {
	var tasks sync.WaitGroup
	for task := 0; task < 20; task++ {
		tasks.Add(1)
		go func() {
			defer tasks.Done()
			for n := 0; n < 50; n++ {
				_, err := do("INCR", "go:pool")
				expect(nil, nil, err)
			}
		}()
	}
	tasks.Wait()
	text("1000", "GET", "go:pool")
}

func listens() {
	conn, err := dial()
	expect(nil, nil, err)
	listener := redis.PubSubConn{Conn: conn}
	defer listener.Close()
	expect(nil, nil, listener.Subscribe("counter:go:heard"))
	expect(nil, nil, listener.PSubscribe("counter:go:hear*"))
	expect(redis.Subscription{Kind: "subscribe", Channel: "counter:go:heard", Count: 1}, listener.Receive(), nil)
	expect(redis.Subscription{Kind: "psubscribe", Channel: "counter:go:hear*", Count: 2}, listener.Receive(), nil)
	number(5, "INCRBY", "go:heard", 5)
	expect(redis.Message{Channel: "counter:go:heard", Data: []byte("5")}, listener.Receive(), nil)
	matched := redis.Message{Channel: "counter:go:heard", Pattern: "counter:go:hear*", Data: []byte("5")}
	expect(matched, listener.Receive(), nil)
	expect(nil, nil, listener.Ping("x"))
	expect(redis.Pong{Data: "x"}, listener.Receive(), nil)
}

func reconnects() {
	fmt.Println("restart")
	bufio.NewReader(os.Stdin).ReadString('\n')
	number(1, "INCR", "go:again")
	text("-15", "GET", "go")
}

func main() {
	counts()
	tellsWhatNobodyTouched()
	takesAnyName()
	pipelines()
	transacts()
	turnsRefusalsIntoErrors()
	scans()
	countsFromManyTasksThroughAPool()
	listens()
	reconnects()
	fmt.Println("all as expected")
}
