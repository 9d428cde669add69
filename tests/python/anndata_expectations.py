"""What Python's anndata reads from h5ad files, as JSON on standard output.

    python anndata_expectations.py FOLDER [FOLDER ...]

For every file: shape, names of cells and genes (the first three and a SHA-256 of all, one a line), first and last
value and number of missing values of each column, sums of three rows and of one column of each matrix, and the first
row of each dense member of obsm. Sums leave out what is not finite. A file that anndata does not read has `error`
instead. Needs anndata (and what it brings: numpy, pandas, scipy, h5py).
"""

import hashlib
import json
import math
import pathlib
import sys
import warnings

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

warnings.filterwarnings("ignore")


def names(index):
    texts = [str(name) for name in index]
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return {"first": texts[:3], "sha256": digest, "len": len(texts)}


def value(x):
    if x is None or x is pd.NA or (isinstance(x, (float, np.floating)) and math.isnan(x)):
        return None
    if isinstance(x, (bool, np.bool_)):
        return {"text": str(bool(x))}
    if isinstance(x, (int, float, np.integer, np.floating)):
        return {"number": str(float(x))}
    return {"text": str(x)}


def columns(frame):
    result = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column, pd.DataFrame) or len(column) == 0:
            continue
        first, last = column.iloc[0], column.iloc[-1]
        if isinstance(column.dtype, pd.CategoricalDtype):
            ends = [None if pd.isna(v) else {"text": str(v)} for v in (first, last)]
        else:
            ends = [value(first), value(last)]
        result[str(name)] = {"first": ends[0], "last": ends[1], "missing": int(column.isna().sum())}
    return result


def total(block):
    if scipy.sparse.issparse(block):
        block = block.toarray()
    block = np.asarray(block, dtype=np.float64).ravel()
    return float(block[np.isfinite(block)].sum())


def matrix(x):
    n_rows, n_cols = x.shape
    rows = sorted({0, n_rows // 2, n_rows - 1}) if n_rows else []
    column = n_cols // 2
    return {
        "shape": [n_rows, n_cols],
        "rows": [[row, total(x[row])] for row in rows],
        "column": [column, total(x[:, column])] if n_rows and n_cols else None,
    }


def expectation(path):
    data = anndata.read_h5ad(path)
    matrices = {}
    if data.X is not None:
        matrices["X"] = matrix(data.X)
    if data.raw is not None and data.raw.X is not None:
        matrices["raw/X"] = matrix(data.raw.X)
    for name, layer in data.layers.items():
        matrices[f"layers/{name}"] = matrix(layer)
    obsm = {}
    for name, member in data.obsm.items():
        if isinstance(member, np.ndarray) and member.ndim == 2 and member.shape[1] >= 2 and data.n_obs:
            first = [float(x) for x in member[0]]
            obsm[name] = {"cols": member.shape[1], "first": [x if math.isfinite(x) else None for x in first]}
    return {
        "shape": [data.n_obs, data.n_vars],
        "obs_names": names(data.obs_names),
        "var_names": names(data.var_names),
        "raw_var_names": names(data.raw.var_names) if data.raw is not None else None,
        "obs": columns(data.obs),
        "var": columns(data.var),
        "matrices": matrices,
        "obsm": obsm,
    }


def main():
    result = {}
    for folder in sys.argv[1:]:
        for path in sorted(pathlib.Path(folder).iterdir()):
            if path.suffix not in (".h5ad", ".h5", ".loom"):
                continue
            try:
                result[str(path)] = expectation(path)
            except Exception as error:  # any failure of the reference is itself the finding
                result[str(path)] = {"error": f"{type(error).__name__}: {error}"[:300]}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
