"""Takes files out of a Debian package: unpack_deb.py PACKAGE DESTINATION PART..., those whose path holds one of the parts."""

import io
import os
import sys
import tarfile


def data(package: str) -> io.BytesIO:
    """The archive of the package's files. The package is an `ar` archive: a magic line, then headers of 60 bytes with the size
    in decimal, each file at an even offset."""
    with open(package, "rb") as file:
        archive = file.read()
    offset = 8
    while offset < len(archive):
        name, size = archive[offset:offset + 16].decode().strip(), int(archive[offset + 48:offset + 58])
        if name.startswith("data.tar"):
            return io.BytesIO(archive[offset + 60:offset + 60 + size])
        offset += 60 + size + size % 2
    raise SystemExit(f"{package} is no Debian package")


def main(package: str, destination: str, *parts: str) -> None:
    os.makedirs(destination)
    with tarfile.open(fileobj=data(package)) as files:
        for member in files:
            if not any(part in member.name for part in parts):
                continue
            path = os.path.join(destination, os.path.basename(member.name))
            if member.issym():
                os.symlink(os.path.basename(member.linkname), path)
            elif member.isfile():
                with open(path, "wb") as target:
                    target.write(files.extractfile(member).read())


if __name__ == "__main__":
    main(*sys.argv[1:])
