"""Documents that stay true. Run by ctest; also: python3 tests/style/documents_test.py [ROOT] [BINARY]

Each rule is one function that yields findings ("file:line: what"). With BINARY, flags in documents are
compared with its help.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
# What looks like a path: starts with a folder of the repository.
TOP_FOLDERS = ("engine", "protocol", "worker", "coordinator", "simulator", "scenarios", "scripts", "tests", "tools", "docs", "demo", "cmake")
PLACEHOLDER = re.compile(r"[A-Z]{4,}|[*<>{}$]")  # NAME, globs
# Endings of words, so that a term is found in the plural too.
PLURAL = r"(?:e?s)?"


def documents(root):
    for path in sorted(root.rglob("*.md")):
        inside = path.relative_to(root).parts
        if inside[0] != "build" and "node_modules" not in inside:
            yield path.relative_to(root), path.read_text(encoding="utf-8")


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def anchor_of(heading):
    """As GitHub makes it: lower case, punctuation dropped, blanks to hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-")


def without_fences(text):
    return FENCE.sub(lambda m: "\n" * m.group(0).count("\n"), text)


def check_links(root, path, text):
    text = without_fences(text)
    for match in re.finditer(r"\]\(([^)\s]+)\)", text):
        target = match.group(1)
        if re.match(r"\w+:", target):
            continue
        where = f"{path}:{line_of(text, match.start())}"
        name, _, anchor = target.partition("#")
        file = root / path.parent / name if name else root / path
        if not file.exists():
            yield f"{where}: the link to {target} leads nowhere"
        elif anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", without_fences(file.read_text()), re.M)
            if anchor not in map(anchor_of, headings):
                yield f"{where}: {name or path} has no heading for #{anchor}"


def check_paths(root, path, text):
    text = without_fences(text)
    for match in re.finditer(r"`([^`\n]+)`", text):
        name = match.group(1).split()[0].rstrip("/:,")
        if name.split("/")[0] not in TOP_FOLDERS or PLACEHOLDER.search(name):
            continue
        if "/" in name and not (root / name).exists():
            yield f"{path}:{line_of(text, match.start())}: {name} does not exist"


def command_lines(text):
    """Lines of code blocks, fenced and indented, with their line numbers."""
    for match in FENCE.finditer(text):
        first = line_of(text, match.start(2))
        for number, line in enumerate(match.group(2).splitlines(), first):
            yield match.group(1), number, line.split("  #")[0].strip()
    for number, line in enumerate(without_fences(text).splitlines(), 1):
        if line.startswith("    "):
            yield "", number, line.split("  #")[0].strip()


def check_flags(root, path, text, binary):
    for _, number, line in command_lines(text):
        match = re.search(r"(?:^|[/ ])potluck ([a-z]+)\b(.*)", line)
        if not match:
            continue
        verb, rest = match.groups()
        help_text = help_of(binary, verb)
        if help_text is None:
            yield f"{path}:{number}: potluck has no command {verb}"
            continue
        for flag in re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", rest.split("|")[0]):
            if not re.search(rf"(?<![\w-]){flag}(?![\w-])", help_text):
                yield f"{path}:{number}: potluck {verb} has no flag {flag}"


def help_of(binary, verb, known={}):
    if verb not in known:
        done = subprocess.run([binary, verb, "--help"], capture_output=True, text=True, check=False)
        known[verb] = done.stdout if done.returncode == 0 else None
    return known[verb]


def build_targets(root):
    """The targets that documents may name, by the rules of the CMake files."""
    targets = {"potluck", "potluck-worker", "call_filter", "golden", "sim", "make_model", "link_shaper", "scripted_server"}
    targets |= {path.stem for path in (root / "tests/bench").glob("*_bench.cpp")}
    unit = root / "tests/unit"
    for folder in {path.parent for path in unit.rglob("*_test.cpp")}:
        targets.add("unit_" + "_".join(folder.relative_to(unit).parts))
    for path in (root / "tests/fuzz").glob("*.cpp"):
        targets.add("fuzz_" + path.stem.replace("_fuzz", ""))
    return targets


def check_commands(root, path, text):
    presets = {preset["name"] for preset in
               json.loads((root / "CMakePresets.json").read_text())["buildPresets"]}
    targets = build_targets(root)
    for language, number, line in command_lines(text):
        if language != "sh":
            continue
        words = [word for word in line.split() if not re.match(r"[A-Z_]+=", word)]
        where = f"{path}:{number}"
        if words and words[0] == "python3":
            words = words[1:]
        if not words:
            continue
        if words[0].startswith(("scripts/", "tests/")) and not (root / words[0]).exists():
            yield f"{where}: {words[0]} does not exist"
        if words[0] == "scripts/build":
            if len(words) < 2 or words[1] not in presets:
                yield f"{where}: no preset {words[1:2]}"
            for target in words[2:]:
                if target not in targets:
                    yield f"{where}: no target {target}"
        for word in words:
            match = re.match(r"build/(\w+)(?:/(.*))?$", word)
            if not match:
                continue
            if match.group(1) not in presets:
                yield f"{where}: no preset {match.group(1)}"
            program = (match.group(2) or "potluck").split("/")[-1]
            if program not in targets:
                yield f"{where}: no target {program}"


def check_glossary(root):
    """A term that stands nowhere in the code is not a word of this project."""
    path = pathlib.Path("docs/GLOSSARY.md")
    tree = "\n".join(file.read_text(encoding="utf-8", errors="ignore")
                     for folder in ("engine", "protocol", "worker", "coordinator", "simulator", "tools", "tests")
                     for file in sorted((root / folder).rglob("*"))
                     if file.suffix in (".h", ".cpp", ".capnp", ".py"))
    tree = re.sub(r"\s*\n\s*(?://|#)?\s*", " ", tree)
    text = (root / path).read_text(encoding="utf-8")
    for match in re.finditer(r"^\| \*\*(.+?)\*\*", text, re.M):
        words = r"[\s_-]+".join(map(re.escape, match.group(1).split()))
        if not re.search(rf"\b{words}{PLURAL}\b", tree, re.I):
            yield f"{path}:{line_of(text, match.start())}: nothing in the tree is called {match.group(1)}"


def check_messages(root):
    """What docs/TROUBLESHOOTING.md quotes, the program says: one text of the sources has all of it, in this order."""
    path = pathlib.Path("docs/TROUBLESHOOTING.md")
    literals = set()
    for folder in ("engine", "protocol", "worker", "coordinator"):
        for file in (root / folder).rglob("*.cpp"):
            source = re.sub(r'"\s*\n\s*"', "", file.read_text(encoding="utf-8"))
            literals |= set(re.findall(r'"((?:[^"\\\n]|\\.)+)"', source))
    text = (root / path).read_text(encoding="utf-8")
    for match in re.finditer(r"^\| `(.+?)` \|", text, re.M):
        parts = [re.escape(part) for part in match.group(1).split("..")]
        said = re.compile(r"'?(?:\{[^}]*\}|[^{}])*?'?".join(parts))
        if not any(said.search(literal) for literal in literals):
            yield f"{path}:{line_of(text, match.start())}: the program does not say: {match.group(1)}"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if root.is_file():
        root = root.parents[2]
    binary = sys.argv[2] if len(sys.argv) > 2 else str(root / "build/release/potluck")
    findings = []
    count = 0
    for path, text in documents(root):
        count += 1
        for rule in (check_links, check_paths, check_commands):
            findings += rule(root, path, text)
        if os.path.exists(binary):
            findings += check_flags(root, path, text, binary)
        elif len(sys.argv) > 2:
            sys.exit(f"{binary} does not exist")
    findings += check_glossary(root)
    findings += check_messages(root)
    for finding in findings:
        print(finding)
    print(f"{count} documents read, {len(findings)} findings")
    return 1 if findings or not count else 0


if __name__ == "__main__":
    sys.exit(main())
