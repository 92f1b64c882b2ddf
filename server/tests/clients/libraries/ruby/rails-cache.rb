# Rails' cache in Redis, unchanged: a store at each node.

require "active_support"
require "active_support/cache"
require "active_support/cache/redis_cache_store"
require "active_support/core_ext/numeric/time"
require_relative "cluster"

# It tells an error to its handler only, and goes on as if there were nothing.
ERRORS = []
FAILURE = ->(exception:, **) { ERRORS << exception.message }
STORES = Array.new(3) { |node| ActiveSupport::Cache::RedisCacheStore.new(url: url(node), error_handler: FAILURE) }
SPACES = Array.new(3) do |node|
  ActiveSupport::Cache::RedisCacheStore.new(url: url(node), error_handler: FAILURE, namespace: "space", pool_size: 3)
end

def on_all(wanted, &ask)
  agree
  expect [wanted] * 3, STORES.map(&ask)
end

def counts_on_all_nodes_at_once
  counting = STORES.flat_map do |store|
    Array.new(2) { |by| Thread.new { 100.times { store.increment("visits", 1 + by) } } }
  end
  counting.each(&:join)
  on_all("900") { |store| store.read("visits", raw: true) }
  expect 880, STORES[SECOND].decrement("visits", 20)
  on_all("880") { |store| store.read("visits", raw: true) }
  expect(-5, STORES[THIRD].decrement("sold", 5))
  on_all({ "visits" => "880", "sold" => "-5" }) { |store| store.read_multi("visits", "sold", "nobody", raw: true) }
end

def counts_within_a_window
  expect [1, 2, 3], around(3).map { |node| agreed { STORES[node].increment("window", 1, expires_in: 2.seconds) } }
  STORES.each { |store| wait_for(nil) { store.read("window", raw: true) } }
  expect 1, STORES[SECOND].increment("window", 1, expires_in: 2.seconds)
end

def keeps_numbers
  expect "OK", STORES[FIRST].write("stock", 20, raw: true)
  on_all("20") { |store| store.read("stock", raw: true) }
  expect 23, STORES[SECOND].increment("stock", 3)
  on_all(true) { |store| store.exist?("stock", raw: true) }
  expect "23", STORES[THIRD].fetch("stock", raw: true) { raise "it is there" }
  expect 7, STORES[THIRD].fetch("fetched", raw: true) { 7 }
  on_all("7") { |store| store.read("fetched", raw: true) }
end

def writes_once
  written = around(3).map { |node| agreed { STORES[node].write("once", node, raw: true, unless_exist: true) } }
  expect [true, false, false], written
  on_all("0") { |store| store.read("once", raw: true) }
end

def expires_on_all_nodes
  STORES[THIRD].write("short", 8, raw: true, expires_in: 1.5.seconds)
  on_all("8") { |store| store.read("short", raw: true) }
  STORES.each { |store| wait_for(nil) { store.read("short", raw: true) } }
end

def deletes_on_all_nodes
  30.times { |turn| STORES[turn % 3].increment("page:#{turn}") }
  expect 1, agreed { STORES[SECOND].delete("page:7") }
  STORES[SECOND].delete_matched("page:1*")
  agree
  left = (0...30).map { |turn| "page:#{turn}" }.reject { |name| name == "page:7" || name.start_with?("page:1") }
  expect [left.sort] * 3, NODES.map { |node| node.keys("page:*").sort }
end

def refuses_what_is_no_number
  expect [], ERRORS
  expect false, STORES[FIRST].write("words", "words", raw: true)
  # Without `raw` each entry is an object of Ruby's.
  expect false, STORES[FIRST].write("entry", 5)
  expect 5, STORES[FIRST].fetch("entry") { 5 }
  expect ["ERR value is not an integer or out of range"] * 3, ERRORS
  on_all({}) { |store| store.read_multi("words", "entry", raw: true) }
end

def clears_on_all_nodes
  SPACES[FIRST].increment("spaced")
  agree
  expect 2, SPACES[SECOND].increment("spaced")
  agree
  SPACES[THIRD].clear
  agree
  expect [[[], true]] * 3, NODES.map { |node| [node.keys("space:*"), node.exists?("visits")] }
  agreed { STORES[SECOND].clear }
  expect [[]] * 3, NODES.map { |node| node.keys("*") }
end

counts_on_all_nodes_at_once
counts_within_a_window
keeps_numbers
writes_once
expires_on_all_nodes
deletes_on_all_nodes
refuses_what_is_no_number
clears_on_all_nodes
expect 3, ERRORS.size
puts "all as expected"
