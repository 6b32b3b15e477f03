"""Files of a release whose bytes depend on their content alone: names in order, the time of the commit, and
root as owner."""

import gzip
import hashlib
import tarfile


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_of(trees):
    """(name, path) of everything in some folders, by name; folders that several have come once."""
    found = {}
    for tree in trees:
        for path in tree.rglob("*"):
            found.setdefault(str(path.relative_to(tree)), path)
    return sorted(found.items())


def mode_of(path):
    return 0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644


def write_tar(target, prefix, trees, time):
    with open(target, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=time) as packed, \
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in files_of(trees):
            entry = tarfile.TarInfo(f"{prefix}/{name}")
            entry.mtime, entry.mode = time, mode_of(path)
            entry.uname = entry.gname = "root"
            if path.is_dir():
                entry.type = tarfile.DIRTYPE
                tar.addfile(entry)
                continue
            entry.size = path.stat().st_size
            with open(path, "rb") as content:
                tar.addfile(entry, content)


def write_checksums(folder):
    lines = [f"{digest(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / "SHA256SUMS").write_text("".join(lines))
