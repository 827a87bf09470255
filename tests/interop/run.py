"""`make interop`: the protocol met by programs that we did not write.

1. JavaScript, with libsodium and the hpke package, opens the published vectors and refuses the broken ones.
2. http-message-signatures accepts our request signatures, and we accept its.

Packages go into a temporary folder by the npm client; nothing is left behind, and no lock file names a registry.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from tests.interop import rfc9421

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"
PACKAGES = (
    "hpke@1.1.7",
    "@panva/hpke-noble@1.0.3",
    "@noble/post-quantum@0.5.4",
    "libsodium-wrappers-sumo@0.8.4",
)
NODE = 20
QUIET = ("--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


def stop(*lines: str) -> NoReturn:
    print("\n".join(lines), file=sys.stderr)
    print("0 passed, 1 failed")
    sys.exit(1)


def tools() -> tuple[str, str]:
    """node and npm, or an explanation and exit 1."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        stop(
            f"make interop needs Node.js {NODE} or newer with npm, and {'node' if node is None else 'npm'} is not on the PATH.",
            "On Debian and Ubuntu: apt install nodejs npm (or your organisation's Node.js package), then run it again.",
            "Nothing else in this project needs them.",
        )
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < NODE:
        stop(
            f"make interop needs Node.js {NODE} or newer; this is {version}. Install a newer one, then run it again."
        )
    return node, npm


def install(npm: str, folder: Path) -> None:
    (folder / "package.json").write_text('{"private": true, "type": "module"}', encoding="ascii")
    done = subprocess.run(
        [npm, "install", *QUIET, *PACKAGES],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        stop(
            "npm could not fetch the packages that make interop opens the vectors with: "
            + ", ".join(PACKAGES)
            + ".",
            "Check that this machine may reach a package registry (npm config get registry), then run it again. npm said:",
            done.stderr.strip()[-2000:],
        )


def javascript(node: str, npm: str) -> list[dict[str, object]]:
    """What the JavaScript program found, check by check."""
    with tempfile.TemporaryDirectory(prefix="fenpost-interop-") as name:
        folder = Path(name)
        install(npm, folder)
        for source in HERE.glob("*.mjs"):
            shutil.copy(source, folder)
        try:
            done = subprocess.run(
                [node, "open_vectors.mjs", str(VECTORS)],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=45,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [{"name": "the JavaScript program ends", "ok": False, "said": "not within 45 seconds"}]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode:
        found.append(
            {"name": "the JavaScript program ends well", "ok": False, "said": done.stderr.strip()[-500:]}
        )
    return found


def signatures() -> list[dict[str, object]]:
    found = []
    for name, work in rfc9421.checks():
        try:
            work()
            found.append({"name": name, "ok": True, "said": ""})
        except Exception as error:  # every failure is counted and shown
            found.append({"name": name, "ok": False, "said": f"{type(error).__name__}: {error}"})
    return found


def report(title: str, found: list[dict[str, object]], least: int) -> tuple[int, int]:
    """Print what failed; fewer checks than `least` are a failure too, so that an empty run cannot pass."""
    failed = [row for row in found if not row["ok"]]
    for row in failed:
        print(f"  FAILED  {row['name']}: {row['said']}")
    if len(found) < least:
        print(f"  FAILED  only {len(found)} checks ran, and there should be {least} at least")
    print(f"{title}: {len(found) - len(failed)} of {len(found)}")
    return len(found) - len(failed), len(failed) + (len(found) < least)


def main() -> None:
    began = time.monotonic()
    node, npm = tools()
    counts = [
        report("JavaScript with libsodium and hpke, on the published vectors", javascript(node, npm), 240),
        report("http-message-signatures and ours, on each other's requests", signatures(), 32),
    ]
    passed, failed = (sum(column) for column in zip(*counts, strict=True))
    print(f"in {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
