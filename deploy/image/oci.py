"""Image archives: written so that the same files give the same bytes anywhere, and read again.

An archive is a tar file with an OCI image layout (OCI image specification 1.1). It also has the `manifest.json` by which older
versions of Docker find their way, so that one file is for everybody: `skopeo copy oci-archive:` and `docker-archive:`,
`podman load`, `docker load`, `ctr images import`, `kind load image-archive`.
"""

import functools
import gzip
import hashlib
import io
import json
import os
import tarfile
import time
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"


class Refused(Exception):
    """What cannot be done, and what to do about it."""


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def plain_json(value):
    """One way of writing a value down, so that its digest is always the same."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Counted:
    """A file that is written to, with the digest and the length of what was."""

    def __init__(self, file):
        self.file, self.hash, self.length = file, hashlib.sha256(), 0

    def write(self, data):
        self.hash.update(data)
        self.length += len(data)
        return self.file.write(data)

    def flush(self):
        self.file.flush()

    @property
    def digest(self):
        return "sha256:" + self.hash.hexdigest()


def entry(name, seconds, *, kind=tarfile.REGTYPE, mode=0o644, owner=0, size=0, target=""):
    """A tar header with nothing of the machine in it: no names of users, one time for all."""
    header = tarfile.TarInfo(name)
    header.type, header.mode, header.size, header.linkname = kind, mode, size, target
    header.uid = header.gid = owner
    header.mtime = seconds
    return header


def write_layer(root, file, seconds, owners):
    """Packs the files below `root`, sorted by name, and returns the digest that they have unpacked.

    `owners` has the paths that belong to others than root.
    """
    # Level 9 costs seconds once, and everybody who pulls gains.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as squeezed:
        unpacked = Counted(squeezed)
        with tarfile.open(fileobj=unpacked, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).as_posix()):
                name = path.relative_to(root).as_posix()
                about = {"mode": path.lstat().st_mode & 0o7777, "owner": owners.get(name, 0)}
                if path.is_symlink():
                    about["mode"] = 0o777
                    tar.addfile(entry(name, seconds, kind=tarfile.SYMTYPE, target=os.readlink(path), **about))
                elif path.is_dir():
                    tar.addfile(entry(name, seconds, kind=tarfile.DIRTYPE, **about))
                elif path.is_file():
                    with path.open("rb") as content:
                        tar.addfile(entry(name, seconds, size=path.stat().st_size, **about), content)
                else:
                    raise Refused(f"/{name} is neither a file, a directory nor a link: take it out")
    return unpacked


def write(archive, *, layer, config, tag, seconds):
    """Writes an archive with one layer, a file, and returns the image's digest."""
    config = plain_json(config)
    with layer.open("rb") as file:
        layer_digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()

    def descriptor(kind, digest, size, **more):
        return {"mediaType": kind, "digest": digest, "size": size, **more}

    manifest = plain_json({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, digest_of(config), len(config)),
        "layers": [descriptor(LAYER, layer_digest, layer.stat().st_size)],
    })
    parsed = json.loads(config)
    # The first is what skopeo and podman go by, the second is containerd's.
    names = {"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": tag}
    platform = {"architecture": parsed["architecture"], "os": parsed["os"]}
    index = plain_json({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [descriptor(MANIFEST, digest_of(manifest), len(manifest), platform=platform, annotations=names)],
    })

    def blob(digest):
        return "blobs/" + digest.replace(":", "/")

    docker = [{"Config": blob(digest_of(config)), "RepoTags": [tag], "Layers": [blob(layer_digest)]}]
    small = {
        blob(digest_of(config)): config,
        blob(digest_of(manifest)): manifest,
        "index.json": index,
        "manifest.json": plain_json(docker),
        "oci-layout": plain_json({"imageLayoutVersion": "1.0.0"}),
    }
    with archive.open("wb") as file, tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for name in ("blobs", "blobs/sha256"):
            tar.addfile(entry(name, seconds, kind=tarfile.DIRTYPE, mode=0o755))
        for name in sorted([*small, blob(layer_digest)]):
            if name in small:
                tar.addfile(entry(name, seconds, size=len(small[name])), io.BytesIO(small[name]))
            else:
                with layer.open("rb") as content:
                    tar.addfile(entry(name, seconds, size=layer.stat().st_size), content)
    return digest_of(manifest)


class Image:
    """The one image of an archive, or of a directory with an OCI image layout."""

    def __init__(self, path):
        self.path = Path(path)
        if not self.path.exists():
            raise Refused(f"there is no image at {path}: make one with deploy/image/build")
        manifests = json.loads(self.read("index.json"))["manifests"]
        if len(manifests) != 1:
            raise Refused(f"{path} has {len(manifests)} images: make an archive with one")
        self.digest = manifests[0]["digest"]
        self.name = manifests[0].get("annotations", {}).get("org.opencontainers.image.ref.name", "")
        self.manifest = json.loads(self.blob(self.digest))
        self.config = json.loads(self.blob(self.manifest["config"]["digest"]))

    def read(self, name):
        try:
            if self.path.is_dir():
                return (self.path / name).read_bytes()
            with tarfile.open(self.path) as tar:
                return tar.extractfile(name).read()
        except (KeyError, OSError, tarfile.TarError) as error:
            why = str(error).splitlines()[0]
            raise Refused(f"{self.path} is no archive or directory with an OCI image layout: {name}: {why}") from error

    def blob(self, digest):
        data = self.read("blobs/" + digest.replace(":", "/"))
        if digest_of(data) != digest:
            raise Refused(f"{self.path} is damaged: {digest} is {digest_of(data)}: make it again")
        return data

    def layers(self):
        """The layers, unpacked, from the bottom."""
        for layer in self.manifest["layers"]:
            yield gzip.decompress(self.blob(layer["digest"]))

    @functools.cached_property
    def files(self):
        """What is in the image's files, by path; links are left out."""
        found = {}
        for layer in self.layers():
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                for header in tar:
                    if header.isfile():
                        found[header.name] = tar.extractfile(header).read()
        return found

    def packages(self):
        """The Debian packages of the image, each as the fields of its status, sorted by name."""
        packages = []
        for name, content in sorted(self.files.items()):
            if name.startswith("var/lib/dpkg/status.d/"):
                lines = [line for line in content.decode().splitlines() if line and not line.startswith(" ")]
                packages.append(dict(line.split(": ", 1) for line in lines if ": " in line))
        return packages

    def distribution(self):
        """What /etc/os-release says, such as ID and VERSION_ID."""
        lines = self.files["usr/lib/os-release"].decode().splitlines()
        return {name: value.strip('"') for name, value in (line.split("=", 1) for line in lines if "=" in line)}
