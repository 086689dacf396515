"""The trust library: what evidence is, who may say what, and what follows from it.

In: bytes, files, identities, a layout, a policy. Out: signed statements, verdicts, decisions.
Not here: anything of the fraud product. Nothing in this package imports the rest of the project.

What a digest stands for is a manifest; manifests and bundles are kept in blobs, written once:

>>> from fraud_provenance.attested.ports.blobs import MemoryBlobs
>>> from fraud_provenance.attested.statements.manifest import FileEntry, Manifest, parse_manifest
>>> day = FileEntry(path="raw/2018-04-01.parquet", partition="2018-04-01", size=3, sha256="ab" * 32)
>>> manifest, blobs = Manifest.of("raw_transactions", [day]), MemoryBlobs()
>>> blobs.put(f"manifests/{manifest.digest}.json", manifest.content)
True
>>> kept = blobs.read(f"manifests/{manifest.digest}.json", limit_bytes=1 << 20)
>>> parse_manifest(kept, manifest.digest).partitions
('2018-04-01',)
"""
