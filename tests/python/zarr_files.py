"""Writes one AnnData object as h5ad and as Zarr in several ways, for a test that reads them all alike.

python zarr_files.py FOLDER

`plain.h5ad` is what the others are compared with. `blosc_*.h5ad` need hdf5plugin.
"""

import sys
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
import zarr

folder = Path(sys.argv[1])
rng = np.random.default_rng(3)
n, m = 700, 90
counts = sp.random(n, m, density=0.2, format="csr", dtype=np.float32, random_state=4)
counts.data = np.ceil(counts.data * 9).astype(np.float32)
names = [f"cell-{i}" for i in range(n)]
names[5] = "Zelle-ä-中"
obs = pd.DataFrame(
    {
        "kind": pd.Categorical(rng.choice(["B cell", "T cell", "Zelle ü"], n)),
        "grade": pd.Categorical(rng.choice(["low", "mid"], n), categories=["low", "mid", "high"], ordered=True),
        "score": np.where(np.arange(n) % 9 == 0, np.nan, rng.normal(size=n)),
        "n": rng.integers(-5, 5, n),
        "large": np.full(n, 2**63, dtype=np.uint64),
        "small": rng.integers(0, 255, n).astype(np.uint8),
        "flag": rng.random(n) < 0.5,
        "maybe": pd.array([None if i % 4 == 0 else i for i in range(n)], dtype="Int64"),
        "perhaps": pd.array([None if i % 3 == 0 else i % 2 == 0 for i in range(n)], dtype="boolean"),
        "word": [f"wörd {i % 7}" for i in range(n)],
    },
    index=names,
)
obs["kind"] = obs["kind"].where(np.arange(n) % 11 != 0)
var = pd.DataFrame({"feature_name": [f"GENE{i}" for i in range(m)]}, index=[f"ENSG{i:011d}" for i in range(m)])
data = anndata.AnnData(
    counts,
    obs=obs,
    var=var,
    obsm={"X_umap": rng.normal(size=(n, 2)), "X_pca": rng.normal(size=(n, 5)).astype(np.float32)},
    layers={"dense": rng.normal(size=(n, m)).astype(np.float16), "columns": counts.tocsc()},
    uns={"kind_colors": np.array(["#ff0000", "#00ff00", "#0000ff"]), "organism": "Homo sapiens"},
)
data.raw = data.copy()
data.write_h5ad(folder / "plain.h5ad")
for version in [2, 3]:
    anndata.settings.zarr_write_format = version
    data.write_zarr(folder / f"version{version}.zarr")
    data.write_zarr(folder / f"chunked{version}.zarr", chunks=(64, 30))


def again(name, version, how):
    """A copy of version 2 with every array written anew as `how` says."""
    source = zarr.open_group(folder / "version2.zarr", mode="r")
    target = zarr.open_group(folder / name, mode="w", zarr_format=version)

    def copy(group, into):
        into.attrs.update(group.attrs)
        for key, item in group.members():
            if isinstance(item, zarr.Group):
                copy(item, into.create_group(key))
                continue
            values = np.asarray(item[...])
            text = values.dtype.kind in "OTU"
            if text:
                made = into.create_array(key, shape=values.shape, chunks=tuple(max(1, (s + 2) // 3) for s in values.shape), dtype="string")
            else:
                made = into.create_array(key, shape=values.shape, dtype=values.dtype, **how(values))
            made[...] = values
            made.attrs.update(item.attrs)

    copy(source, target)


def third(values):
    return tuple(max(1, (s + 2) // 3) for s in values.shape)


codecs = zarr.codecs
again(
    "blosc3.zarr",
    3,
    lambda v: dict(chunks=third(v), compressors=[codecs.BloscCodec(cname="lz4", shuffle="bitshuffle", typesize=v.dtype.itemsize)]),
)
again(
    "sharded3.zarr",
    3,
    lambda v: dict(chunks=third(v), shards=tuple(4 * s for s in third(v)), compressors=[codecs.ZstdCodec(level=3)])
    if v.shape
    else {},
)
again("gzip3.zarr", 3, lambda v: dict(chunks=third(v), compressors=[codecs.GzipCodec()], chunk_key_encoding={"name": "v2", "separator": "."}))
again("bare3.zarr", 3, lambda v: dict(chunks=third(v), compressors=None))
from numcodecs import Blosc, Shuffle, Zlib

again("blosc2.zarr", 2, lambda v: dict(chunks=third(v), compressors=Blosc("zstd", 5, Blosc.SHUFFLE)))
again(
    "columns2.zarr",
    2,
    lambda v: dict(chunks=third(v), compressors=Zlib(), filters=[Shuffle(v.dtype.itemsize)] if v.dtype.itemsize > 1 else None, order="F"),
)
try:
    import hdf5plugin
except ImportError:
    sys.exit(0)
import shutil

import h5py

for packer in ["blosclz", "lz4", "zlib", "zstd"]:
    shuffle = hdf5plugin.Blosc.BITSHUFFLE if packer == "lz4" else hdf5plugin.Blosc.SHUFFLE
    how = dict(hdf5plugin.Blosc(cname=packer, clevel=5, shuffle=shuffle))
    path = folder / f"blosc_{packer}.h5ad"
    shutil.copy(folder / "plain.h5ad", path)
    with h5py.File(path, "r+") as file:
        for element in ["X/data", "X/indices", "obsm/X_umap", "obs/n", "layers/dense"]:
            old = file[element]
            values, attributes = old[...], dict(old.attrs)
            del file[element]
            made = file.create_dataset(element, data=values, chunks=third(values), **how)
            made.attrs.update(attributes)
