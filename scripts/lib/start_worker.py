"""A launcher of local workers (--worker-launcher "/usr/bin/env python3 start_worker.py WHICH OTHER {}"): worker
WHICH is started as the program OTHER instead of as potluck."""

import os
import sys

which, other, number, program, *arguments = sys.argv[1:]
if number == which:
    program = other
os.execv(program, [program, *arguments])
