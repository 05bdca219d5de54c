"""Takes libtorch for the CPU out of the wheels in a folder: unpack_libtorch.py WHEELS DESTINATION; with --cuda in front what
it loads beyond that on a GPU."""

import os
import shutil
import sys
import zipfile

# What libtorch_cpu.so needs to load, and nothing of CUDA beyond it.
LIBRARIES = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}

# Of the other libraries those that only Python, BLAS calls of Fortran programs or a cluster of GPUs ask for.
NOT_FOR_CUDA = ("libtorch_python", "libshm", "libtorch.so", "libtorch_global_deps", "libnvblas", "nvshmem_", "libcufile_rdma",
                "libcusolverMg", "libcufftw", "libnvrtc.alt", "libnvrtc-builtins.alt")


def cuda_destination_of(name: str) -> str | None:
    """The same for what is needed beside it on a GPU."""
    base = os.path.basename(name)
    if "/lib/" not in name or ".so" not in base or base in LIBRARIES or base.startswith(NOT_FOR_CUDA):
        return None
    return f"lib/{base}"


def destination_of(name: str) -> str | None:
    """Where a member of a wheel goes below the destination, or None if it is not needed."""
    base = os.path.basename(name)
    if "/lib/" in name and base in LIBRARIES:
        return f"lib/{base}"
    if name.startswith("torch/include/") and base:
        return name.removeprefix("torch/")
    return None


def main(wheels: str, destination: str, destination_of=destination_of) -> None:
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
    if sys.argv[1] == "--cuda":
        main(*sys.argv[2:], cuda_destination_of)
    else:
        main(*sys.argv[1:])
