"""Fetches NVIDIA's newest package cuda-compat-13-0 for Debian 12: fetch_cuda_compat.py DESTINATION. Its digest stands in the index of the
same repository. The licence is NVIDIA's, which allows to pass it on in a container: https://docs.nvidia.com/cuda/eula/."""

import gzip
import hashlib
import sys
import urllib.request

REPOSITORY = "https://developer.download.nvidia.com/compute/cuda/repos/debian12/x86_64/"
PACKAGE = "cuda-compat-13-0"


def fetch(name: str) -> bytes:
    with urllib.request.urlopen(REPOSITORY + name, timeout=60) as source:
        return source.read()


def version(fields: dict[str, str]) -> list[int]:
    """580.95.05-1 as numbers."""
    return [int(part) for part in fields["Version"].replace("-", ".").split(".") if part.isdigit()]


def main(destination: str) -> None:
    index = gzip.decompress(fetch("Packages.gz")).decode()
    paragraphs = (dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
                  for paragraph in index.split("\n\n"))
    newest = max((fields for fields in paragraphs if fields.get("Package") == PACKAGE), key=version)
    package = fetch(newest["Filename"].removeprefix("./"))
    if hashlib.sha256(package).hexdigest() != newest["SHA256"]:
        raise SystemExit(f"{newest['Filename']} has another digest than its index says")
    with open(destination, "wb") as target:
        target.write(package)


if __name__ == "__main__":
    main(*sys.argv[1:])
