"""Debian packages from what `cmake --install` installed."""

import gzip
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import archives

SUMMARY = {
    "potluck": ("runs Mixture-of-Experts models on a pool of devices",
                "The coordinator: it computes attention, asks the devices of the pool for the experts that\n"
                " they hold, and answers by HTTP APIs, in a browser and in the terminal. It works alone, too."),
    "potluck-worker": ("computes experts for a Potluck pool",
                       "The worker alone, for a device that lends memory, disk and processor to a pool: it finds\n"
                       " the pool on its network and shows a code that is compared there."),
}

# Debian's policy wants a name and an address. Who publishes packages names an own one (scripts/release
# --maintainer); without that they say whose they are, and that no mail reaches the project: names that end
# in .invalid exist nowhere (RFC 6761). At localhost, mail would go to the account that the package makes.
MAINTAINER = "The Potluck project <potluck@project.invalid>"
MAINTAINER_FORM = re.compile(r"[^<>\n]*[^<>\s] <[^<>@\s]+@[^<>@\s]+>")


def control(program, version, architecture, kilobytes, maintainer):
    short, long = SUMMARY[program]
    return (f"Package: {program}\nVersion: {version}\nArchitecture: {architecture}\n"
            f"Maintainer: {maintainer}\nSection: net\nPriority: optional\n"
            f"Installed-Size: {kilobytes}\nDescription: {short}\n {long}\n")


def make_manuals_small(root, time):
    for page in sorted((root / "usr/share/man").rglob("*.1")):
        with open(f"{page}.gz", "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=time) as packed:
            packed.write(page.read_bytes())
        page.unlink()


def build(checkout, tree, program, version, architecture, time, dist, maintainer=MAINTAINER):
    root = tree.with_name(f"{program}.deb.d")
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(tree, root)
    make_manuals_small(root, time)
    defaults = root / "etc/default" / program
    defaults.parent.mkdir(parents=True)
    shutil.copy(checkout / "packaging/defaults" / program, defaults)
    files = [(name, path) for name, path in archives.files_of([root]) if path.is_file()]
    kilobytes = sum(-(-path.stat().st_size // 1024) for _, path in files)
    meta = root / "DEBIAN"
    meta.mkdir()
    (meta / "control").write_text(control(program, version, architecture, kilobytes, maintainer))
    (meta / "conffiles").write_text(f"/etc/default/{program}\n")
    (meta / "md5sums").write_text("".join(
        f"{_md5(path)}  {name}\n" for name, path in files if not name.startswith("etc/")))
    for script in sorted((checkout / "packaging/debian" / program).iterdir()):
        shutil.copy(script, meta / script.name)
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.parent == meta and path.name in ("postinst", "prerm", "postrm")
                   else archives.mode_of(path))
        os.utime(path, (time, time))
    # gzip: what xz writes depends on how many processors there are.
    target = pathlib.Path(dist) / f"{program}_{version}_{architecture}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", root, target], check=True,
                   env={**os.environ, "SOURCE_DATE_EPOCH": str(time)}, stdout=subprocess.DEVNULL)


def _md5(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
