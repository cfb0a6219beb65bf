import subprocess
import sys

from benchmarks.processor_time import processor_seconds


def test_processor_time_counts_children():
    before = processor_seconds()
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        child.stdout.readline()
        assert processor_seconds() - before > 0.25
        child.communicate("\n")
