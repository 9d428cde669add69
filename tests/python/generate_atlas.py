"""Writes a large h5ad file of made-up counts, stored by cells and packed with gzip as those of CELLxGENE are.

python generate_atlas.py FILE CELLS [GENES] [VALUES A CELL] [plain]        "plain": not packed
"""

import sys

import h5py
import numpy as np

path, n_cells = sys.argv[1], int(sys.argv[2])
n_genes = int(sys.argv[3]) if len(sys.argv) > 3 else 20_000
n_values = int(sys.argv[4]) if len(sys.argv) > 4 else 1_500
packing = None if sys.argv[5:] == ["plain"] else "gzip"
rng = np.random.default_rng(7)
text = h5py.string_dtype()


def encode(item, kind, version):
    item.attrs["encoding-type"], item.attrs["encoding-version"] = kind, version


def array(group, name, values, kind="array", **how):
    encode(group.create_dataset(name, data=values, **how), kind, "0.2.0")


def frame(file, name, index, columns):
    group = file.create_group(name)
    encode(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs.create("column-order", columns, dtype=text)
    array(group, "_index", np.array(index, dtype=object), "string-array", dtype=text)
    return group


with h5py.File(path, "w") as file:
    encode(file, "anndata", "0.1.0")
    obs = frame(file, "obs", [f"cell-{i:09d}" for i in range(n_cells)], ["cell_type", "n_counts"])
    labels = obs.create_group("cell_type")
    encode(labels, "categorical", "0.2.0")
    labels.attrs["ordered"] = False
    array(labels, "categories", np.array([f"type {i:02d}" for i in range(40)], dtype=object), "string-array", dtype=text)
    array(labels, "codes", rng.integers(0, 40, n_cells, dtype=np.int8))
    frame(file, "var", [f"ENSG{i:011d}" for i in range(n_genes)], [])
    obsm = file.create_group("obsm")
    encode(obsm, "dict", "0.1.0")
    array(obsm, "X_umap", rng.normal(size=(n_cells, 2)).astype(np.float32))
    x = file.create_group("X")
    encode(x, "csr_matrix", "0.1.0")
    x.attrs["shape"] = [n_cells, n_genes]
    array(x, "indptr", np.arange(n_cells + 1, dtype=np.int64) * n_values)
    total = n_cells * n_values
    data = x.create_dataset("data", shape=(total,), dtype=np.float32, chunks=True, compression=packing)
    indices = x.create_dataset("indices", shape=(total,), dtype=np.int32, chunks=True, compression=packing)
    encode(data, "array", "0.2.0")
    encode(indices, "array", "0.2.0")
    sums = np.empty(n_cells)
    step = 2000
    for start in range(0, n_cells, step):
        n = min(step, n_cells - start)
        gaps = rng.integers(1, 2 * n_genes // n_values - 1, size=(n, n_values), dtype=np.int32)
        counts = rng.geometric(0.6, size=(n, n_values)).astype(np.float32)
        place = slice(start * n_values, (start + n) * n_values)
        indices[place] = np.minimum(np.cumsum(gaps, axis=1) - 1, n_genes - 1).ravel()
        data[place] = counts.ravel()
        sums[start : start + n] = counts.sum(axis=1)
    array(obs, "n_counts", sums)
