# redis-rb against a node, unchanged: run by scripts/test-clients with the node's port.

require "connection_pool"
require "redis"

OPTIONS = { port: Integer(ARGV.fetch(0)), id: "rb", timeout: 10 }.freeze
REDIS = Redis.new(**OPTIONS)

def expect(wanted, found)
  raise "expected #{wanted.inspect}, found #{found.inspect}" unless wanted == found
end

def expect_refusal(words)
  yield
rescue Redis::CommandError => error
  raise "expected an error with #{words}, found #{error}" unless error.message.include?(words)
else
  raise "expected an error with #{words}, found none"
end

def counts
  expect 1, REDIS.incr("rb")
  expect 11, REDIS.incrby("rb", 10)
  expect 10, REDIS.decr("rb")
  expect(-10, REDIS.decrby("rb", 20))
  expect(-15, REDIS.incrby("rb", -5))
  expect 9_223_372_036_854_775_807, REDIS.incrby("rb:large", 9_223_372_036_854_775_807)
  expect_refusal("overflow") { REDIS.incr("rb:large") }
  expect "9223372036854775807", REDIS.get("rb:large")
end

def tells_what_nobody_touched
  expect nil, REDIS.get("rb:nobody")
  expect ["-15", nil], REDIS.mget("rb", "rb:nobody")
  expect({ "rb" => "-15", "rb:nobody" => nil }, REDIS.mapped_mget("rb", "rb:nobody"))
  expect [true, false], [REDIS.exists?("rb"), REDIS.exists?("rb:nobody")]
end

def takes_any_name
  expect 1, REDIS.incr("rb:größe 数 \"q\" and spaces")
  expect "1", REDIS.get("rb:größe 数 \"q\" and spaces")
end

def pipelines
  expect((1..5000).to_a, REDIS.pipelined { |pipeline| 5000.times { pipeline.incr("rb:pipeline") } })
end

def transacts
  expect([1, -2, "-2"], REDIS.multi { |tx| tx.incr("rb:tx"); tx.decrby("rb:tx", 3); tx.get("rb:tx") })
end

def turns_refusals_into_errors
  expect_refusal("APPEND is refused: ") { REDIS.append("rb", "1") }
  expect_refusal("RENAME is refused: ") { REDIS.rename("rb", "other") }
  expect_refusal("not an integer") { REDIS.call("INCRBY", "rb", "x") }
  expect "still", REDIS.ping("still")
end

def scans
  100.times { |n| REDIS.incr("rb:scan:#{n}") }
  expect 100, REDIS.scan_each(match: "rb:scan:*", count: 7).to_a.uniq.size
end

def counts_from_many_tasks_through_a_pool
  pool = ConnectionPool.new(size: 4, timeout: 10) { Redis.new(**OPTIONS) }
  tasks = Array.new(20) { Thread.new { 50.times { pool.with { |redis| redis.incr("rb:pool") } } } }
  tasks.each(&:join)
  expect "1000", REDIS.get("rb:pool")
end

def listens
  heard = []
  listener = Redis.new(**OPTIONS)
  listener.subscribe("counter:rb:heard") do |on|
    on.subscribe { |_, _| REDIS.incrby("rb:heard", 5) }
    on.message { |channel, value| heard << [channel, value]; listener.unsubscribe }
  end
  listener.psubscribe("counter:rb:hear*") do |on|
    on.psubscribe { |_, _| REDIS.incrby("rb:heard", 5) }
    on.pmessage { |pattern, channel, value| heard << [pattern, channel, value]; listener.punsubscribe }
  end
  expect [["counter:rb:heard", "5"], ["counter:rb:hear*", "counter:rb:heard", "10"]], heard
  expect 11, listener.incr("rb:heard")
end

def reconnects
  puts "restart"
  $stdout.flush
  $stdin.gets
  expect 1, REDIS.incr("rb:again")
  expect "-15", REDIS.get("rb")
end

counts
tells_what_nobody_touched
takes_any_name
pipelines
transacts
turns_refusals_into_errors
scans
counts_from_many_tasks_through_a_pool
listens
reconnects
puts "all as expected"
