# Redis (CPAN) against a node, unchanged: run by scripts/test-clients with the node's port.

use strict;
use utf8;
use warnings;

use Redis;

my @options = (server => "127.0.0.1:$ARGV[0]", reconnect => 10, every => 10_000, read_timeout => 10, name => 'pl');
my $redis = Redis->new(@options);

sub expect {
    my ($wanted, @found) = @_;
    my $found = join ' ', map { $_ // 'nil' } @found;
    my (undef, undef, $line) = caller;
    die "line $line: expected $wanted, found $found\n" if $found ne $wanted;
}

sub expect_refusal {
    my ($words, $command) = @_;
    my (undef, undef, $line) = caller;
    die "line $line: expected an error with $words, found none\n" if eval { $command->(); 1 };
    die "line $line: expected an error with $words, found $@" if index($@, $words) < 0;
}

sub counts {
    expect 1,   $redis->incr('pl');
    expect 11,  $redis->incrby('pl', 10);
    expect 10,  $redis->decr('pl');
    expect -10, $redis->decrby('pl', 20);
    expect -15, $redis->incrby('pl', -5);
    expect '9223372036854775807', $redis->incrby('pl:large', '9223372036854775807');
    expect_refusal 'overflow', sub { $redis->incr('pl:large') };
    expect '9223372036854775807', $redis->get('pl:large');
}

sub tells_what_nobody_touched {
    expect 'nil', scalar $redis->get('pl:nobody');
    expect '-15 nil', $redis->mget('pl', 'pl:nobody');
    expect 1, $redis->exists('pl', 'pl:nobody');
}

sub takes_any_name {
    # This client sends bytes.
    my $name = 'pl:größe 数 "q" and spaces';
    utf8::encode($name);
    expect 1, $redis->incr($name);
    expect 1, $redis->get($name);
}

sub pipelines {
    my @found;
    $redis->incr('pl:pipeline', sub { push @found, $_[0] }) for 1 .. 5000;
    $redis->wait_all_responses;
    expect join(' ', 1 .. 5000), @found;
}

sub transacts {
    $redis->multi;
    $redis->incr('pl:tx');
    $redis->decrby('pl:tx', 3);
    $redis->get('pl:tx');
    expect '1 -2 -2', $redis->exec;
}

sub turns_refusals_into_errors {
    expect_refusal 'APPEND is refused: ', sub { $redis->append('pl', 1) };
    expect_refusal 'RENAME is refused: ', sub { $redis->rename('pl', 'other') };
    expect_refusal 'not an integer',      sub { $redis->incrby('pl', 'x') };
    # This client does not reconnect between WATCH and UNWATCH, whatever came of the former.
    expect 'OK',    $redis->unwatch;
    expect 'PONG',  $redis->ping;
}

sub scans {
    $redis->incr("pl:scan:$_") for 1 .. 100;
    my ($cursor, %names) = (0);
    do {
        ($cursor, my $step) = $redis->scan($cursor, MATCH => 'pl:scan:*', COUNT => 7);
        $names{$_} = 1 for @$step;
    } while ($cursor);
    expect 100, scalar keys %names;
}

sub listens {
    my @heard;
    my $listener = Redis->new(@options);
    my $hear = sub { my ($value, $channel, $topic) = @_; push @heard, "$topic $channel $value" };
    $listener->subscribe('counter:pl:heard', $hear);
    $listener->psubscribe('counter:pl:hear*', $hear);
    expect 5, $redis->incrby('pl:heard', 5);
    $listener->wait_for_messages(0.1) while @heard < 2;
    expect 'counter:pl:heard counter:pl:heard 5 counter:pl:hear* counter:pl:heard 5', @heard;
    $listener->unsubscribe('counter:pl:heard', $hear);
    $listener->punsubscribe('counter:pl:hear*', $hear);
    expect 6, $listener->incr('pl:heard');
}

sub reconnects {
    $| = 1;
    print "restart\n";
    <STDIN>;
    expect 1,   $redis->incr('pl:again');
    expect -15, $redis->get('pl');
}

counts();
tells_what_nobody_touched();
takes_any_name();
pipelines();
transacts();
turns_refusals_into_errors();
scans();
listens();
reconnects();
print "all as expected\n";
