"""`make interop`: the protocol met by programs that we did not write.

1. JavaScript, with libsodium and the hpke package, opens the published vectors and refuses the broken ones.
2. http-message-signatures accepts our request signatures, and we accept its.
3. Go's x/mod (sumdb/note, sumdb/tlog) verifies checkpoint, inclusion and consistency of both logs of a running relay over
   HTTP, and refuses every change to them.
4. Sigstore's client verifies checkpoint and inclusion of the same logs, and @noble/post-quantum its ML-DSA-44 line.
5. axe-core reads officers' reports, and finds no fault but where one was put.
6. SoftHSM2 holds signing keys, and the programs sign with them through PKCS#11.

Packages go into a temporary folder by the npm client; nothing is left behind, and no lock file names a registry.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

from tests.interop import rfc9421
from tests.interop.report_pages import write_pages
from tests.interop.running_log import running_logs
from tests.interop.softhsm import LIBRARY

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"
PACKAGES = (
    "hpke@1.1.7",
    "@panva/hpke-noble@1.0.3",
    "@noble/post-quantum@0.5.4",
    "libsodium-wrappers-sumo@0.8.4",
    "@sigstore/verify@3.1.1",
    "axe-core@4.14.1",
    "jsdom@26.1.0",
)
GOCODE = "/usr/share/gocode"
"""Where Debian and Ubuntu keep the source of Go's libraries."""
GO_PACKAGES = ("golang.org/x/mod/sumdb/note", "golang.org/x/mod/sumdb/tlog")
Row = dict[str, object]
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


def go_tool() -> tuple[str, dict[str, str]]:
    """go, and the environment in which it finds x/mod and fetches nothing; or an explanation and exit 1."""
    go = shutil.which("go")
    if go is None:
        stop(
            "make interop needs Go with its x/mod library, and go is not on the PATH.",
            "On Debian and Ubuntu: apt install golang-go golang-golang-x-mod-dev, then run it again.",
            "Nothing else in this project needs them.",
        )
    own = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=False).stdout.strip()
    path = os.pathsep.join(part for part in (GOCODE, own) if part)
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": path, "GOFLAGS": ""}
    if not shutil.which("gcc"):
        environment["CGO_ENABLED"] = "0"
    found = subprocess.run(
        [go, "list", *GO_PACKAGES], capture_output=True, text=True, env=environment, check=False
    )
    if found.returncode:
        stop(
            "make interop needs Go's x/mod library, and this Go does not find it.",
            "On Debian and Ubuntu: apt install golang-golang-x-mod-dev, then run it again. Go said:",
            found.stderr.strip()[-1000:],
        )
    return go, environment


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


def checks(command: list[str], what: str, seconds: int, **named: object) -> list[Row]:
    """What a program found, check by check: it prints a line of JSON for each."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, **named)  # type: ignore[call-overload]  # a folder or an environment
    except subprocess.TimeoutExpired:
        return [{"name": f"{what} ends", "ok": False, "said": f"not within {seconds} seconds"}]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode:
        found.append({"name": f"{what} ends well", "ok": False, "said": done.stderr.strip()[-500:]})
    return found


def javascript(node: str, folder: Path, source: str, *arguments: Path) -> list[Row]:
    words = [node, source, *map(str, arguments)]
    return checks(words, f"the JavaScript program {source}", 45, cwd=folder)


def logs(node: str, folder: Path, go: str, environment: dict[str, str]) -> tuple[list[Row], list[Row]]:
    """What Go and Sigstore found of a running relay's two logs."""
    by_go, by_sigstore = list[Row](), list[Row]()
    with running_logs() as plans, tempfile.TemporaryDirectory(prefix="fenpost-interop-") as cache:
        environment = {"GOCACHE": cache, **environment}  # one's own, if there is one, is faster
        for plan in plans:
            words = [go, "run", str(HERE / "tlog.go"), str(plan)]
            by_go += checks(words, "the Go program", 240, env=environment)
            by_sigstore += javascript(node, folder, "tlog.mjs", plan)
    return by_go, by_sigstore


def signatures() -> list[Row]:
    found: list[Row] = []
    for name, work in rfc9421.checks():
        try:
            work()
            found.append({"name": name, "ok": True, "said": ""})
        except Exception as error:  # every failure is counted and shown
            found.append({"name": name, "ok": False, "said": f"{type(error).__name__}: {error}"})
    return found


def softhsm() -> None:
    """An explanation and exit 1 where there is no SoftHSM2."""
    if shutil.which("softhsm2-util") is None or not LIBRARY.exists():
        stop(
            "make interop needs SoftHSM2, a token in software, and it is not on this machine.",
            "On Debian and Ubuntu: apt install softhsm2, then run it again.",
            "Nothing else in this project needs it.",
        )


def tokens(folder: Path) -> list[Row]:
    """The tests with a token, one row each."""
    found = folder / "tokens.xml"
    words = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"--junitxml={found}"]
    done = subprocess.run(
        [*words, str(HERE / "test_tokens.py")], capture_output=True, text=True, timeout=300, check=False
    )
    if not found.exists():
        return [{"name": "the tests with a token end well", "ok": False, "said": done.stdout[-500:]}]
    rows = ElementTree.parse(found).iter("testcase")
    return [
        {
            "name": row.get("name", ""),
            "ok": not list(row),
            "said": "".join(one.get("message", "") for one in row),
        }
        for row in rows
    ]


def report(title: str, found: list[Row], least: int) -> tuple[int, int]:
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
    go, environment = go_tool()
    softhsm()
    with tempfile.TemporaryDirectory(prefix="fenpost-interop-") as name:
        folder = Path(name)
        install(npm, folder)
        for source in HERE.glob("*.mjs"):
            shutil.copy(source, folder)
        vectors = javascript(node, folder, "open_vectors.mjs", VECTORS)
        by_go, by_sigstore = logs(node, folder, go, environment)
        pages = folder / "reports"
        pages.mkdir()
        reports = write_pages(pages)
        by_axe = javascript(node, folder, "accessible.mjs", pages)
        with_tokens = tokens(folder)
    counts = [
        report("JavaScript with libsodium and hpke, on the published vectors", vectors, 240),
        report("http-message-signatures and ours, on each other's requests", signatures(), 32),
        report("Go's note and tlog, on a running relay's two logs", by_go, 480),
        report("Sigstore's verifier and noble's ML-DSA-44, on the same logs", by_sigstore, 60),
        report("axe-core, on officers' reports", by_axe, reports),
        report("SoftHSM2, as the place of signing keys", with_tokens, 15),
    ]
    passed, failed = (sum(column) for column in zip(*counts, strict=True))
    print(f"in {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
