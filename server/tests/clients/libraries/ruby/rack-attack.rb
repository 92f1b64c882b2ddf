# Rack::Attack, unchanged, with each store that it has for Redis: an application at each node, and visitors who come
# to one after the other.

require "active_support"
require "active_support/cache"
require "active_support/cache/redis_cache_store"
require "rack"
require "rack/attack"
require "redis-store"
require "redis-activesupport"
require_relative "cluster"

DAY_S = 24 * 60 * 60
# Rails' cache tells an error to its handler only, and goes on as if there were nothing.
FAILURE = ->(exception:, **) { abort exception.full_message }
STORES = {
  "redis-rb" => ->(node) { Redis.new(url: url(node)) },
  "redis-store" => ->(node) { Redis::Store.new(port: PORTS[node]) },
  "Rails' cache" => ->(node) { ActiveSupport::Cache::RedisCacheStore.new(url: url(node), error_handler: FAILURE) },
  "redis-activesupport" => ->(node) { ActiveSupport::Cache::RedisStore.new(url(node), raise_errors: true) },
}.freeze

Rack::Attack.throttle("five", limit: 5, period: DAY_S) { |request| request.ip if request.path == "/five" }
Rack::Attack.throttle("window", limit: 1, period: 2) { |request| request.ip if request.path == "/window" }
Rack::Attack.blocklist("fail2ban") do |request|
  Rack::Attack::Fail2Ban.filter("fail:#{request.ip}", maxretry: 3, findtime: DAY_S, bantime: DAY_S) do
    request.path == "/secret"
  end
end
Rack::Attack.blocklist("allow2ban") do |request|
  Rack::Attack::Allow2Ban.filter("allow:#{request.ip}", maxretry: 4, findtime: DAY_S, bantime: 2) do
    request.path == "/login"
  end
end
APPLICATION = Rack::MockRequest.new(Rack::Lint.new(Rack::Attack.new(->(_) { [200, {}, ["well"]] })))

def visit(stores, node, path, visitor = "192.0.2.1")
  # One process stands for three: what differs between them is the node that they ask.
  Rack::Attack.cache.store = stores[node]
  agreed { APPLICATION.get(path, "REMOTE_ADDR" => visitor).status }
end

def lets_exactly_its_limit_through(stores)
  expect [200] * 5 + [429] * 4, around(9).map { |node| visit(stores, node, "/five") }
  expect [200] * 5 + [429] * 1, around(6).map { |node| visit(stores, node, "/five", "192.0.2.2") }
end

def lets_through_again_when_the_window_ends(stores)
  # A window begins at a multiple of its length, so that the first may have ended at once.
  wait_for(200) { visit(stores, SECOND, "/window") }
  wait_for(200) { visit(stores, THIRD, "/window") }
  expect [429, 429], [FIRST, SECOND].map { |node| visit(stores, node, "/window") }
  wait_for(200) { visit(stores, FIRST, "/window") }
  expect [429, 429], [SECOND, THIRD].map { |node| visit(stores, node, "/window") }
end

def bans_on_all_nodes(stores)
  # Each try is answered 403, and the third bans the visitor.
  expect [403] * 2, [FIRST, SECOND].map { |node| visit(stores, node, "/secret", "192.0.2.3") }
  expect 200, visit(stores, THIRD, "/", "192.0.2.3")
  expect 403, visit(stores, THIRD, "/secret", "192.0.2.3")
  expect [403] * 3, around(3).map { |node| visit(stores, node, "/", "192.0.2.3") }
  expect [200] * 3, around(3).map { |node| visit(stores, node, "/", "192.0.2.4") }
end

def ends_a_ban(stores)
  expect [200] * 4, around(4).map { |node| visit(stores, node, "/login", "192.0.2.5") }
  expect [403] * 3, around(3).map { |node| visit(stores, node, "/", "192.0.2.5") }
  3.times { |node| wait_for(200) { visit(stores, node, "/", "192.0.2.5") } }
end

def resets_on_all_nodes(stores)
  Rack::Attack.cache.store = stores[SECOND]
  agreed { Rack::Attack.reset! }
  expect [[]] * 3, NODES.map { |node| node.keys("*") }
  expect [200] * 5 + [429] * 1, around(6).map { |node| visit(stores, node, "/five") }
end

STORES.each do |name, store|
  stores = Array.new(3, &store)
  lets_exactly_its_limit_through(stores)
  lets_through_again_when_the_window_ends(stores)
  bans_on_all_nodes(stores)
  ends_a_ban(stores)
  resets_on_all_nodes(stores)
  begin_anew
rescue StandardError => error
  raise "with #{name}: #{error.full_message(highlight: false)}"
end
puts "all as expected"
