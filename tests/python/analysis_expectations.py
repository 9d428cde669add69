"""What scanpy, umap-learn and leidenalg find in pbmc3k_seurat.h5ad, as JSON for the tests of the engine.

    python analysis_expectations.py PBMC3K_SEURAT.h5ad FOLDER

writes compare_pbmc3k.json (rank_genes_groups: the first genes of some comparisons and a spread over all others) and
embed_pbmc3k.json (highly variable genes, explained variance, trustworthiness of the map, modularity of the clusters)
and quality_pbmc3k.json (counts, genes and mitochondrial share of a spread of cells) into FOLDER, `tests/expected` of this repository. Packages: analysis_requirements.txt.
"""

import json
import pathlib
import sys
import warnings

import anndata
import numpy as np
import scanpy as sc
import umap
from sklearn.manifold import trustworthiness

warnings.filterwarnings("ignore")

LABELS = "cell_type_author"
TOP = 60
OTHERS = 40
CASES = [
    ("B, ties corrected", "B", "rest", "wilcoxon", True),
    ("NK, scanpy's default for ties", "NK", "rest", "wilcoxon", False),
    ("two kinds of monocytes", "CD14+ Mono", "FCGR3A+ Mono", "wilcoxon", True),
    ("CD8 T by Welch's t", "CD8 T", "rest", "t-test", False),
    ("few platelets by Welch's t", "Platelet", "B", "t-test", False),
]


def log_normalised(path):
    data = anndata.read_h5ad(path)
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    return data


def compare(data, name, group, reference, method, tie_correct):
    sc.tl.rank_genes_groups(
        data, LABELS, groups=[group], reference=reference, method=method, tie_correct=tie_correct, pts=True
    )
    found = data.uns["rank_genes_groups"]
    pts = found["pts"]
    share_a = pts[group]
    share_b = found["pts_rest"][group] if reference == "rest" else pts[reference]
    genes = found["names"][group]
    rows = [
        {
            "gene": str(gene),
            "score": float(found["scores"][group][at]),
            "log_fold_change": float(found["logfoldchanges"][group][at]),
            "p_value": float(found["pvals"][group][at]),
            "p_adjusted": float(found["pvals_adj"][group][at]),
            "share_a": float(share_a[gene]),
            "share_b": float(share_b[gene]),
        }
        for at, gene in enumerate(genes)
    ]
    spread = np.linspace(TOP, len(rows) - 1, OTHERS).astype(int)
    return {
        "name": name,
        "group": group,
        "reference": None if reference == "rest" else reference,
        "method": method,
        "tie_correct": tie_correct,
        "top": rows[:TOP],
        "others": [rows[at] for at in spread],
    }


def embed(data):
    sc.pp.highly_variable_genes(data, n_top_genes=2000)
    sc.pp.pca(data, n_comps=50, svd_solver="arpack")
    sc.pp.neighbors(data, n_neighbors=15, n_pcs=50)
    pca = data.obsm["X_pca"]
    judge = lambda positions: float(trustworthiness(pca, positions, n_neighbors=15))
    maps = [umap.UMAP(n_neighbors=15, min_dist=0.5, random_state=seed).fit_transform(pca) for seed in range(3)]
    sc.tl.umap(data, random_state=0)
    sc.tl.leiden(data, resolution=1.0, flavor="leidenalg", random_state=0)
    labels = data.obs["leiden"].astype(int).to_numpy()
    weights = data.obsp["connectivities"]
    total = weights.sum()
    degree = np.asarray(weights.sum(axis=1)).ravel()
    modularity = sum(
        weights[labels == label][:, labels == label].sum() / total - (degree[labels == label].sum() / total) ** 2
        for label in np.unique(labels)
    )
    return {
        "highly_variable": np.flatnonzero(data.var["highly_variable"]).tolist(),
        "explained_variance": data.uns["pca"]["variance"].tolist(),
        "explained_variance_ratio": data.uns["pca"]["variance_ratio"].tolist(),
        "connectivities": {"entries": int(weights.nnz), "sum": float(total)},
        "trustworthiness_umap_learn": [judge(positions) for positions in maps],
        "trustworthiness_scanpy_umap": judge(data.obsm["X_umap"]),
        "leiden_modularity": float(modularity),
        "leiden_clusters": int(labels.max() + 1),
    }


def quality(path):
    data = anndata.read_h5ad(path)
    data.var["mt"] = data.var_names.str.startswith("MT-")
    sc.pp.calculate_qc_metrics(data, qc_vars=["mt"], percent_top=None, log1p=False, inplace=True)
    names = ["total_counts", "n_genes_by_counts", "pct_counts_mt"]
    cells = range(0, data.n_obs, 37)
    return {
        "cells": [{"cell": at, **{name: float(data.obs[name].iloc[at]) for name in names}} for at in cells],
        "mean_pct_counts_mt": float(data.obs["pct_counts_mt"].astype("float64").mean()),
    }


def main():
    path, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    data = log_normalised(path)
    cases = [compare(data, *case) for case in CASES]
    write(folder / "compare_pbmc3k.json", {"file": "pbmc3k_seurat.h5ad", "cases": cases})
    write(folder / "embed_pbmc3k.json", {"file": "pbmc3k_seurat.h5ad", **embed(data)})
    write(folder / "quality_pbmc3k.json", {"file": "pbmc3k_seurat.h5ad", **quality(path)})


def write(path, value):
    path.write_text(json.dumps(shortened(value)).replace("}, {", "},\n {") + "\n")


def shortened(value):
    if isinstance(value, float):
        return float(f"{value:.8g}")
    if isinstance(value, dict):
        return {key: shortened(v) for key, v in value.items()}
    return [shortened(v) for v in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()
