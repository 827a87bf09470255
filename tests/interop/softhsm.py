"""SoftHSM2 for tests: a token in a folder of its own. Debian's package softhsm2; `.ci/run` installs it where it may."""

import os
import shutil
import subprocess
from pathlib import Path

LIBRARY = next(
    (
        path
        for path in map(Path, ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"))
        if path.exists()
    ),
    Path("/usr/lib/softhsm/libsofthsm2.so"),
)
PIN, SO_PIN = "9876", "87654321"


def new_token(folder: Path, label: str) -> Path:
    """A new token's settings file, for SOFTHSM2_CONF. Fails, and says what to install, where there is no SoftHSM2."""
    assert shutil.which("softhsm2-util"), (
        "These tests need SoftHSM2. On Debian and Ubuntu: apt install softhsm2, then run them again."
    )
    (folder / "store").mkdir(parents=True)
    settings = folder / "softhsm2.conf"
    settings.write_text(
        f"directories.tokendir = {folder / 'store'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    words = ["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN]
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "SOFTHSM2_CONF": str(settings)})
    return settings
