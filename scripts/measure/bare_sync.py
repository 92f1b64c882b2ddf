"""What the disk itself takes: a few bytes written over zeros of a file, and `fdatasync`, as a journal
does it."""

import os
import time

ROOM_BYTES = 1 << 20
RECORD = b"\xa5" * 64


class BareSync:
    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR | os.O_CREAT)
        os.write(self.file, bytes(ROOM_BYTES))
        os.fsync(self.file)
        self.offset = 0

    def once_us(self):
        start = time.perf_counter_ns()
        os.pwrite(self.file, RECORD, self.offset)
        os.fdatasync(self.file)
        took_us = (time.perf_counter_ns() - start) / 1000
        self.offset = (self.offset + len(RECORD)) % ROOM_BYTES
        return took_us

    def times(self, count, pause_s=0):
        found = []
        for _ in range(count):
            time.sleep(pause_s)
            found.append(self.once_us())
        return found


def percentile(found, per_cent):
    found = sorted(found)
    return found[min(len(found) - 1, len(found) * per_cent // 100)]
