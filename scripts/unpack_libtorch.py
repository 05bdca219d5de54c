"""Takes libtorch for the CPU out of the wheels in a folder: unpack_libtorch.py WHEELS DESTINATION."""

import os
import shutil
import sys
import zipfile

# What libtorch_cpu.so needs to load, and nothing of CUDA beyond it.
LIBRARIES = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}


def destination_of(name: str) -> str | None:
    """Where a member of a wheel goes below the destination, or None if it is not needed."""
    base = os.path.basename(name)
    if "/lib/" in name and base in LIBRARIES:
        return f"lib/{base}"
    if name.startswith("torch/include/") and base:
        return name.removeprefix("torch/")
    return None


def main(wheels: str, destination: str) -> None:
    for wheel in sorted(os.listdir(wheels)):
        if not wheel.endswith(".whl"):
            continue
        with zipfile.ZipFile(os.path.join(wheels, wheel)) as archive:
            for name in archive.namelist():
                relative = destination_of(name)
                if relative is None:
                    continue
                path = os.path.join(destination, relative)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(name) as source, open(path, "wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
                if relative.startswith("lib/"):
                    os.chmod(path, 0o755)


if __name__ == "__main__":
    main(*sys.argv[1:])
