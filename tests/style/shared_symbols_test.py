"""Code for newer processors stays in its own files. The linker keeps one copy of an inline function
or template that several files define, and that copy must not be one compiled for AVX-512: so the
objects of an instruction set may show nothing but what its own namespace holds.

python3 tests/style/shared_symbols_test.py FILE, where FILE lists the objects, one a line.
"""

import pathlib
import re
import subprocess
import sys


def foreign_symbols(path, isa):
    command = ["nm", "--demangle", "--defined-only", "--extern-only", str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        name = line.split(None, 2)[2]
        if not re.match(rf"potluck::{isa}::\w+(\(|\[|$)", name):
            yield name


def main():
    checked = 0
    findings = []
    for line in pathlib.Path(sys.argv[1]).read_text().splitlines():
        match = re.search(r"/kernels/(?!scalar/)(\w+)/[^/]+\.o(bj)?$", line)
        if not match:
            continue
        checked += 1
        for name in foreign_symbols(line, match.group(1)):
            findings.append(f"{line}: {name} is shared with other files: give it an unnamed "
                            f"namespace, or make it static")
    for finding in findings:
        print(finding)
    print(f"{checked} objects read, {len(findings)} findings")
    return 1 if findings or checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
