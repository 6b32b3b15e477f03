"""What a release is made of: a software bill of materials in SPDX 2.3, and the licenses that go with it. Packages
are those of Debian whose archives the linker took members of, and those whose headers the compiler read for
objects that were linked."""

import hashlib
import json
import pathlib
import re
import subprocess
import time as clock

TRIPLET = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}


def output_of(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True,
                          **options).stdout


class Bill:
    def __init__(self, root, architecture, build):
        self.root = root
        self.architecture = architecture
        self.build = build
        self.programs = {}  # name: (file name, SHA-256, packages)
        self.versions = self._sysroot_versions() if architecture != "amd64" else {}
        self.sources = self._source_versions()
        self.headers = self._headers()

    def add_program(self, name, binary):
        digest = hashlib.sha256(binary.read_bytes()).hexdigest()
        self.programs[name] = (binary.name, digest, self._packages_of(name))

    def packages(self):
        return sorted(set().union(*(packages for _, _, packages in self.programs.values())))

    # --- where files come from ---

    def _sysroot_versions(self):
        lines = (self.root / "build/sysroot-arm64/versions.txt").read_text().splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def _source_versions(self):
        lines = (self.root / "build/static-libraries/source/versions").read_text().splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def _headers(self):
        """The headers outside of this checkout, for each object file."""
        found, current = {}, None
        for line in output_of("ninja", "-C", self.build, "-t", "deps").splitlines():
            if line.startswith("    "):
                path = pathlib.Path(line.strip())
                if path.is_absolute() and ("/usr/" in line):
                    found[current].add(str(path))
            elif line:
                current = line.split(":")[0]
                found[current] = set()
        return found

    def _packages_of(self, program):
        archives, headers = set(), set()
        for line in output_of("ninja", "-C", self.build, "-t", "inputs", program).splitlines():
            headers |= self.headers.get(line.strip(), set())
        text = (self.build / f"{program}.map").read_text(errors="replace")
        for match in re.finditer(r"^(/\S+\.a)\(", text, re.M):
            archives.add(str(pathlib.Path(match.group(1)).resolve()))
        own = self.root / "build/static-libraries" / self.architecture / "lib"
        packages = {self._own_library(pathlib.Path(path).name) for path in archives
                    if path.startswith(str(own))}
        files = [path for path in archives if not path.startswith(str(self.build))
                 and not path.startswith(str(own))]
        return packages | self._owners(files) | self._owners(headers)

    def _own_library(self, name):
        source = {"libzmq.a": "zeromq3", "libfmt.a": "fmtlib", "libspdlog.a": "spdlog", "libcurl.a": "curl",
                  "libqrencode.a": "qrencode"}[name]
        return source, self.sources[source], "source"

    def _owners(self, files):
        """(package, version, architecture). Files of the arm64 folder have the names that this system has."""
        sysroot = str(self.root / "build/sysroot-arm64")
        native, foreign = [], []
        for path in files:
            if path.startswith(sysroot):
                foreign.append(path.removeprefix(sysroot).replace(TRIPLET["arm64"], TRIPLET["amd64"]))
            else:
                native.append(path)
        owners = {(name, self._installed(name), architecture) for name, architecture in _search(native)}
        # A package of that folder has the version that its archive had.
        owners |= {(name, self.versions[name], self.architecture) for name, _ in _search(foreign)
                   if name in self.versions}
        return owners

    def _installed(self, package):
        return output_of("dpkg-query", "-W", "-f=${Version}\n", package).splitlines()[0]

    # --- what is written ---

    def licenses(self):
        parts = ["Potluck is under the Apache License 2.0:\n\n" + (self.root / "LICENSE").read_text()]
        for name, version, _ in self.packages():
            path = pathlib.Path("/usr/share/doc") / name / "copyright"
            if not path.exists():
                path = self.root / "build/static-libraries/source" / name / "debian/copyright"
            if not path.exists():
                path = self.root / "build/static-libraries/source" / name / "COPYING"
            if path.exists():
                parts.append(f"{'=' * 78}\n{name} {version}, of Debian:\n\n{path.read_text(errors='replace')}")
        return "\n".join(parts)

    def write(self, target, version, time):
        created = clock.strftime("%Y-%m-%dT%H:%M:%SZ", clock.gmtime(time))
        packages, relations = [], []
        for name, (file_name, digest, used) in sorted(self.programs.items()):
            packages.append({
                "SPDXID": f"SPDXRef-{name}", "name": name, "versionInfo": version,
                "packageFileName": file_name, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                "licenseConcluded": "NOASSERTION", "licenseDeclared": "Apache-2.0",
                "copyrightText": "NOASSERTION",
                "checksums": [{"algorithm": "SHA256", "checksumValue": digest}]})
            relations.append(_relation("SPDXRef-DOCUMENT", "DESCRIBES", f"SPDXRef-{name}"))
            relations += [_relation(f"SPDXRef-{name}", "STATIC_LINK", _identifier(one)) for one in sorted(used)]
        for one in self.packages():
            name, its_version, architecture = one
            packages.append({
                "SPDXID": _identifier(one), "name": name, "versionInfo": its_version,
                "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
                "copyrightText": "NOASSERTION",
                "externalRefs": [{
                    "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                    "referenceLocator": f"pkg:deb/debian/{name}@{its_version.replace('+', '%2B').replace(':', '%3A')}"
                                        f"?arch={architecture}&distro=bookworm"}]})
        digest = hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()
        document = {
            "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"potluck-{version}-linux-{self.architecture}",
            "documentNamespace": f"urn:potluck:{version}:{self.architecture}:{digest}",
            "creationInfo": {"created": created, "creators": ["Tool: scripts/release"]},
            "packages": packages, "relationships": relations}
        target.write_text(json.dumps(document, indent=1) + "\n")


def _search(files):
    """(package, architecture) of those that dpkg knows, of installed packages."""
    owners = set()
    files = sorted(files)
    for begin in range(0, len(files), 500):
        done = subprocess.run(["dpkg-query", "--search", *files[begin:begin + 500]], check=False,
                              capture_output=True, text=True)  # fails if it knows one of them not
        for line in done.stdout.splitlines():
            if line.startswith("diversion "):
                continue
            for owner in line.split(": /")[0].split(", "):
                name, _, architecture = owner.partition(":")
                owners.add((name, architecture or "all"))
    return owners


def _identifier(package):
    name, _, architecture = package
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", f"{name}-{architecture}")


def _relation(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
