"""As much of a Redis client as is needed: commands, and many of them at once."""

import socket

# As many commands as are sent before their answers are read.
PIPELINE = 1000
NAME_BYTES = 20


def name(number):
    return b"counter:%012d" % number


class Client:
    def __init__(self, port, timeout_s=60):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def call(self, *words):
        self.socket.sendall(encoded(words))
        return self._answer()

    def _answer(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self.file.read(length + 2)[:-2]
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        raise OSError(f"expected an answer, found {line!r}")

    def pipeline(self, commands):
        """Sends all of these, and reads as many answers."""
        self.socket.sendall(b"".join(map(encoded, commands)))
        return [self._answer() for _ in commands]

    def increment_each(self, count):
        """Increments each of so many counters once."""
        for first in range(0, count, PIPELINE):
            numbers = range(first, min(first + PIPELINE, count))
            self.pipeline([(b"INCR", name(number)) for number in numbers])

    def all_are(self, count, value, step=1):
        """Whether every step-th of so many counters, and the last, has that value."""
        wanted = b"%d" % value
        numbers = [*range(0, count, step), count - 1]
        for first in range(0, len(numbers), PIPELINE):
            names = [name(number) for number in numbers[first : first + PIPELINE]]
            if any(found != wanted for found in self.call(b"MGET", *names)):
                return False
        return True


def encoded(words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
