# Sidekiq's statistics, unchanged: what it counts at one node, read at the others.

require "redis"
Redis.silence_deprecations = true
require "sidekiq"
require "sidekiq/api"
require "sidekiq/launcher"
require_relative "cluster"

# One process stands for three: what differs between them is the node that they ask.
POOLS = Array.new(3) { |node| Sidekiq::RedisConnection.create(url: url(node)) }
Sidekiq.logger.level = Logger::FATAL


def work_at(node, done:, failed:)
  done.times { Sidekiq::Processor::PROCESSED.incr }
  failed.times { Sidekiq::Processor::FAILURE.incr }
  Sidekiq.redis = POOLS[node]
  # What a process does as it ends.
  agreed { Sidekiq::Launcher.flush_stats }
end

def history(node)
  Sidekiq.redis = POOLS[node]
  history = Sidekiq::Stats::History.new(2)
  [history.processed.values.sum, history.failed.values.sum]
end

def total(node)
  Sidekiq.redis = POOLS[node]
  Sidekiq.redis { |redis| redis.mget("stat:processed", "stat:failed") }
end

def counts_on_all_nodes
  [[5, 1], [7, 0], [11, 2]].each_with_index { |(done, failed), node| work_at(node, done: done, failed: failed) }
  expect [["23", "3"]] * 3, around(3).map { |node| total(node) }
  expect [[23, 3]] * 3, around(3).map { |node| history(node) }
  date = Time.now.utc.strftime("%Y-%m-%d")
  expect true, (0..Sidekiq::Launcher::STATS_TTL).cover?(NODES[THIRD].ttl("stat:processed:#{date}"))
end

def is_refused
  Sidekiq.redis = POOLS[SECOND]
  expect_refusal("ZCARD is refused") { Sidekiq::Stats.new }
  expect_refusal("SADD is refused") { Sidekiq::Client.push("class" => "Job", "args" => []) }
  expect_refusal("ZCARD is refused") { Sidekiq::RetrySet.new.size }
  expect_refusal("LLEN is refused") { Sidekiq::Queue.new.size }
end

counts_on_all_nodes
is_refused
puts "all as expected"
