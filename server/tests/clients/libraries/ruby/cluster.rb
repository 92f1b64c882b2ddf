# The three nodes that each program of this directory works on: PROGRAM PORT PORT PORT.

require "redis"

module Cluster
  # How long what is waited for may take: of a cluster on one machine, some milliseconds.
  DEADLINE_S = 10
  POLL_S = 0.01
  PORTS = ARGV.map { |port| Integer(port) }.freeze
  NODES = PORTS.map { |port| Redis.new(port: port, timeout: 10) }.freeze
  FIRST, SECOND, THIRD = 0, 1, 2

  def url(node)
    "redis://127.0.0.1:#{PORTS[node]}"
  end

  def expect(wanted, found)
    raise "expected #{wanted.inspect}, found #{found.inspect}" unless wanted == found
  end

  def expect_refusal(words)
    found = yield
  rescue Redis::CommandError => error
    raise "expected an error with #{words}, found #{error}" unless error.message.include?(words)
  else
    raise "expected an error with #{words}, found #{found.inspect}"
  end

  # Waits for an answer.
  def wait_for(wanted)
    deadline = now_s + DEADLINE_S
    until (found = yield) == wanted
      raise "after #{DEADLINE_S} s expected #{wanted.inspect}, found #{found.inspect}" if now_s > deadline

      sleep POLL_S
    end
  end

  # What a node shows: every name, its value, and when it expires.
  def shown(node)
    names = node.keys("*").sort
    answers = node.pipelined do |pipeline|
      names.each { |name| pipeline.get(name); pipeline.call("PEXPIRETIME", name) }
    end
    names.zip(answers.each_slice(2).to_a)
  end

  # Waits until all nodes show the same in database 0: then each has what was written on any of them before.
  def agree
    wait_for(1) { NODES.map { |node| shown(node) }.uniq.size }
  end

  # Runs what writes, waits until all nodes have it, and answers what it answered.
  def agreed
    found = yield
    agree
    found
  end

  # Deletes what the program before has left.
  def begin_anew
    agree
    NODES[SECOND].flushall
    agree
    expect [], shown(NODES[THIRD])
  end

  # Node after node.
  def around(times)
    Array.new(times) { |turn| turn % NODES.size }
  end

  private

  def now_s
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

include Cluster
begin_anew
