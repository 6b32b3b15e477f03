"""The rules of this code base that a machine can check. Run by ctest; also:
python3 tests/style/style_test.py [ROOT]

Each rule is one function that yields findings ("file:line: what, and what to do"). Allow-lists name
files, with the reason; they may only shrink.
"""

import json
import pathlib
import re
import subprocess
import sys

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 700
MAX_LINE_COLUMNS = 100

# Folder = layer: what each may include. `tests` and the command line may include everything.
LAYERS = {
    "engine": {"engine"},
    "protocol": {"engine", "protocol"},
    "worker": {"engine", "protocol", "worker"},
    "coordinator": {"engine", "protocol", "coordinator"},
    "simulator": {"engine", "protocol", "coordinator", "worker", "simulator"},
    "coordinator/cli": {"engine", "protocol", "coordinator", "worker", "simulator"},
}
# Inside the engine, in the order of engine/CMakeLists.txt: a folder uses itself and those before it.
ENGINE_ORDER = ["base", "kernels", "gguf", "tokenizer", "template", "grammar", "chat", "experts", "model"]
# Libraries of their own: of the engine they use nothing but its base.
ENGINE_APART = {"template"}

SOCKET_HEADERS = re.compile(r"#include <(zmq\.h|zmq\.hpp|sys/socket\.h|netinet/|arpa/)")

# Word -> (pattern, files that are the seam, what to use instead).
SEAMS = {
    "clock": (
        re.compile(r"_clock::now\(|\bclock_gettime\(|\bgettimeofday\(|[^_\w]time\(nullptr\)"),
        {"engine/base/clock.cpp"},
        "take a Clock",
    ),
    "random device": (
        re.compile(r"std::random_device|\bRAND_bytes\(|\bgetrandom\(|[^_\w]s?rand\("),
        {"engine/base/random.cpp"},
        "take an Entropy or a CounterRandom",
    ),
    "sleep": (
        re.compile(r"sleep_for|sleep_until|\busleep\(|\bnanosleep\("),
        set(),
        "wait for an event, or move a ManualClock",
    ),
    "file": (
        re.compile(r"std::[io]?fstream|\bfopen\(|[^_.>\w]::open\(|\bopenat\("),
        {
            "engine/base/storage.cpp",
            "engine/base/system_files.cpp",  # /proc, whose files have no size
            "coordinator/runtime/local_workers.cpp",  # /dev/null between fork() and exec()
            "coordinator/cli/standard_streams.cpp",  # /dev/null before there is a Storage
            "coordinator/cli/log_file.cpp",  # appends beside other programs, also to devices
        },
        "take a Storage",
    ),
    "mutex": (
        re.compile(r"std::(mutex|lock_guard|unique_lock|condition_variable)\b"),
        {
            "engine/base/thread_annotations.h",
            "engine/base/simulated_disk.h",  # guards nothing: what a timed wait needs
            "engine/base/simulated_disk.cpp",
            "coordinator/cli/stop_signal.h",  # guards nothing: flags are atomic
            "coordinator/cli/stop_signal.cpp",
            # The lock is returned and handed on, which the analysis cannot follow.
            "coordinator/dispatch/coordinator_loop.h",
            "coordinator/dispatch/remote_executor.h",
            "coordinator/dispatch/remote_executor.cpp",
            "coordinator/runtime/pool.h",
        },
        "engine/base/thread_annotations.h, so that clang checks what a mutex guards",
    ),
    "standard output and error": (
        re.compile(r"\bfmt::print\(|\bf?printf\(|\bf?puts\(|\bfwrite\(|std::(cout|cerr|clog)\b|"
                   r"\bstd(out|err)\b"),
        {
            "engine/base/check.cpp",             # the last words before abort()
            "engine/base/out_of_resources.cpp",  # and those where there is no memory
            "coordinator/cli/line_editor.cpp",   # libedit draws what is typed
        },
        "return it, or use Output and Terminal, which know about full disks and hostile text",
    ),
    "flag": (
        re.compile(r"(?:->|\.)add_(option|flag)(?!_group)\w*\("),
        {"coordinator/cli/flags.cpp"},
        "declare it through coordinator/cli/flags.h, where numbers are checked",
    ),
    "JSON text": (
        re.compile(r"\.dump\(|json::parse\(|json::sax_parse\("),
        {
            "coordinator/cli/json_text.cpp",
            "engine/template/json.cpp",
            # These take a document piece by piece, as it must not be in memory as a whole.
            "engine/template/value_json.cpp",
            "coordinator/serving/token_list.cpp",
        },
        "json_text() and read_json(), which never throw",
    ),
}

# Where foreign libraries' exceptions end, and those for lack of memory or threads.
CATCH_ALLOWED = {
    "engine/base/out_of_resources.cpp",
    "engine/base/thread_pool.cpp",  # hands them to the thread that called
    "protocol/header_decode.cpp",  # Cap'n Proto
    "protocol/zmq_socket.cpp",     # cppzmq
    "coordinator/serving/http/http_server.cpp",  # Asio
    "coordinator/cli/command_line.cpp",  # CLI11
    "coordinator/cli/flags.cpp",         # CLI11
    "coordinator/cli/log_file.cpp",      # spdlog
}

PRODUCT = ("engine", "protocol", "worker", "coordinator", "simulator")
EVERYWHERE = (*PRODUCT, "tools", "tests")


def source_files(root, folders=PRODUCT):
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cpp"):
                yield path.relative_to(root)


def strip_comments(text):
    """Comments and string literals blanked, line numbers kept."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"', re.S)
    return pattern.sub(lambda m: "\n" * m.group(0).count("\n"), text)


def numbered(text):
    return enumerate(text.split("\n"), start=1)


def check_sizes(root, path, text):
    lines = text.split("\n")
    if len(lines) > MAX_FILE_LINES:
        yield f"{path}: {len(lines)} lines, at most {MAX_FILE_LINES}: split it by purpose"
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE_COLUMNS:
            yield f"{path}:{number}: {len(line)} columns, at most {MAX_LINE_COLUMNS}"


def check_includes(root, path, text):
    parts = path.parts
    layer = "coordinator/cli" if parts[:2] == ("coordinator", "cli") else parts[0]
    for number, line in numbered(text):
        if layer == "engine" and SOCKET_HEADERS.search(line):
            yield f"{path}:{number}: the engine knows no socket"
        match = re.match(r'#include "([^"]+)"', line)
        if not match:
            continue
        target = pathlib.PurePosixPath(match.group(1)).parts
        if target[0] not in LAYERS[layer] and not match.group(1).endswith(".capnp.h"):
            yield f"{path}:{number}: {layer} may not include {match.group(1)}"
        if layer == "engine" and target[0] == "engine":
            if ENGINE_ORDER.index(target[1]) > ENGINE_ORDER.index(parts[1]):
                yield f"{path}:{number}: engine/{parts[1]} may not include engine/{target[1]}"
            if parts[1] in ENGINE_APART and target[1] not in ("base", parts[1]):
                yield f"{path}:{number}: engine/{parts[1]} may include engine/base alone"


def check_device_cli(root):
    """What potluck-worker is made of has nothing of a coordinator."""
    text = (root / "coordinator/CMakeLists.txt").read_text()
    names = re.search(r"set\(device_cli_files\s+([^)]*)\)", text).group(1).split()
    own = {f"coordinator/cli/{name}.h" for name in names}
    # Values and names alone: nothing to link.
    own |= {f"coordinator/cli/{name}.h" for name in ("cli11_fwd", "commands", "counters_json",
                                                     "doctor_facts", "input_history", "message_input")}
    for name in names:
        for suffix in (".h", ".cpp"):
            path = root / f"coordinator/cli/{name}{suffix}"
            if not path.exists():
                continue
            for number, line in numbered(path.read_text()):
                match = re.match(r'#include "(coordinator/[^"]+|simulator/[^"]+)"', line)
                if match and match.group(1) not in own:
                    yield (f"{path.relative_to(root)}:{number}: part of potluck-worker, which may not "
                           f"include {match.group(1)}")


def check_header_comment(root, path, text):
    if path.suffix == ".h" and not text.startswith("//"):
        yield f"{path}:1: a header starts with what it is, who owns it, which thread may call it"
    if path.suffix == ".h" and "#pragma once" not in text:
        yield f"{path}:1: #pragma once is missing"


def check_seams(root, path, text):
    for number, line in numbered(strip_comments(text)):
        for name, (pattern, allowed, advice) in SEAMS.items():
            if pattern.search(line) and str(path) not in allowed:
                yield f"{path}:{number}: {name} outside its seam: {advice}"


def check_catches(root, path, text):
    if str(path) in CATCH_ALLOWED:
        return
    for number, line in numbered(strip_comments(text)):
        if re.search(r"\bcatch\s*\(|\bthrow\b", line):
            yield f"{path}:{number}: exceptions end at the border of the library that throws them"


def check_globals(root, path, text):
    """Mutable objects at namespace scope: this code base indents nothing there."""
    pattern = re.compile(
        r"^(?:static |thread_local |inline )*(?!const|using|namespace|class|struct|enum|return|template|"
        r"extern|typedef|public|private|friend|case|default|else|goto|union)"
        r"[A-Za-z_][\w:<>,*& ]*\s[\w]+\s*(?:=[^=].*|\{[^}]*\})?;\s*$"
    )
    for number, line in numbered(strip_comments(text)):
        if pattern.match(line) and "(" not in line.split("=")[0] and "constexpr" not in line:
            yield f"{path}:{number}: mutable global: {line.strip()}"
        if re.search(r"\bstatic (?!const|constexpr|_)[\w:<>]+ \w+\s*(=|\{|;)", line) and "(" not in line:
            if not re.search(r"\bstatic (?:inline )?(?:const|constexpr)", line):
                yield f"{path}:{number}: static object: {line.strip()}"


def check_dead_code(root, path, text):
    for number, line in numbered(text):
        if re.match(r"^\s*//.*[;{}]\s*$", line) and not re.search(r"[a-z]{3,} [a-z]{2,} [a-z]", line):
            yield f"{path}:{number}: commented-out code"
        if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
            yield f"{path}:{number}: open ends belong into an issue, not into the code"


def check_functions(root):
    """Function lengths, by Universal Ctags."""
    files = [str(p) for p in source_files(root) if p.suffix == ".cpp" or p.suffix == ".h"]
    command = ["ctags", "--output-format=json", "--fields=+ne", "--kinds-C++=f", "-f", "-", *files]
    output = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        tag = json.loads(line)
        if "end" not in tag or tag.get("kind") != "function":
            continue
        length = tag["end"] - tag["line"] + 1
        if length > MAX_FUNCTION_LINES:
            yield (f"{tag['path']}:{tag['line']}: {tag['name']} has {length} lines, "
                   f"at most {MAX_FUNCTION_LINES}")


def check_format(root):
    files = [str(p) for p in source_files(root, EVERYWHERE)]
    result = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], cwd=root,
                            capture_output=True, text=True)
    for line in result.stderr.splitlines():
        if "error:" in line:
            yield line.split(" [")[0]


def check_checks(root):
    """Each file with a CHECK says in checks.txt why nothing from outside can make it fail."""
    table = {}
    for line in (root / "tests/style/checks.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            file, most, why = line.split(None, 2)
            table[file] = int(most)
    for path in source_files(root):
        if path.parts[:2] == ("engine", "base") and path.stem == "check":
            continue
        found = len(re.findall(r"\bCHECK\(", strip_comments((root / path).read_text())))
        if found > table.get(str(path), 0):
            yield (f"{path}: {found} CHECKs, {table.get(str(path), 0)} in tests/style/checks.txt: "
                   f"say there why no file, flag, peer or full disk can make them fail")
    for file in table:
        if not (root / file).exists():
            yield f"tests/style/checks.txt: {file} is gone: leave it out"


TYPE = re.compile(r"(?:template <[^>]*> ?)?(?:struct|class|enum class|union) (?:\w+\(.*\) )?(\w+)(?![\w:(])[^;]*$")


def check_types(root):
    """Two types of one name: the linker would take functions of the one for those of the other."""
    places = {}
    for path in source_files(root, EVERYWHERE):
        if path.suffix != ".h":
            continue
        namespace = ""
        for number, line in numbered((root / path).read_text(encoding="utf-8")):
            if opened := re.match(r"namespace ([\w:]+) \{", line):
                namespace = opened.group(1)
            elif named := TYPE.match(line):
                name = f"{namespace}::{named.group(1)}"
                other = places.setdefault(name, f"{path}:{number}")
                if other != f"{path}:{number}":
                    yield f"{path}:{number}: {name} is a type in {other} too: rename one of them"


CONSTANT = re.compile(r"(?:static |inline )*const(?:expr)? .*?\b(k[A-Z]\w*)\b")
FUNCTION = re.compile(r"(?!using|return|TEST|class|struct|enum)[A-Za-z][\w:<>,&* ]*[ &*](\w+\([^()]*\)?)")


def local_names(text):
    """Line number and name of what anonymous namespaces of a file hold; functions with parameters."""
    inside = False
    for number, line in numbered(text):
        if line == "namespace {":
            inside = True
        elif line == "}  // namespace":
            inside = False
        elif inside:
            for pattern in (TYPE, CONSTANT, FUNCTION):
                if named := pattern.match(line):
                    yield number, named.group(1)
                    break


def check_local_names(root):
    """Sources of a folder may be compiled as one: what is local in each must have a name of its own."""
    places = {}
    for path in source_files(root, (*PRODUCT, "tools", "tests/unit", "tests/golden", "tests/sim")):
        if path.suffix != ".cpp":
            continue
        for number, name in local_names((root / path).read_text(encoding="utf-8")):
            other = places.setdefault((path.parent, name), path)
            if other != path:
                yield f"{path}:{number}: {name} stands in {other} too: rename one, or share it"


SUBRANGES = re.compile(r"std::(?:views::|ranges::(?:equal_range|find_end|partition|remove|remove_if|rotate|search|search_n|"
                       r"stable_partition|unique)\()")


def check_subranges(root):
    for path in source_files(root, EVERYWHERE):
        for number, line in numbered(strip_comments((root / path).read_text(encoding="utf-8"))):
            if SUBRANGES.search(line):
                yield (f"{path}:{number}: clang 14 cannot compile libstdc++ 12's subranges and views: "
                       "the algorithm of namespace std")


FILE_RULES = [check_sizes, check_includes, check_header_comment, check_seams, check_catches,
              check_globals, check_dead_code]
TREE_RULES = [check_device_cli, check_functions, check_format, check_checks, check_types, check_local_names,
              check_subranges]


def main():
    default_root = pathlib.Path(__file__).resolve().parents[2]
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default_root
    findings = []
    count = 0
    for path in source_files(root):
        count += 1
        text = (root / path).read_text(encoding="utf-8")
        for rule in FILE_RULES:
            findings.extend(rule(root, path, text))
    for rule in TREE_RULES:
        findings.extend(rule(root))
    for finding in findings:
        print(finding)
    print(f"{count} files read, {len(findings)} findings")
    return 1 if findings or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
