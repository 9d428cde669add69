"""A small file of made-up cells, for journeys through the window that need what no shipped file has.

    python made_up_cells.py SAMPLE.h5ad OUT.h5ad

SAMPLE is assets/sample/pbmc68k_reduced.h5ad, whose gene names are taken and nothing else; OUT is
tests/tests/window/made_up.h5ad of this repository. 60 cells of three groups with counts of 200 genes, a UMAP on which
7 cells have no place, a second embedding on which all have one, and a column with missing values. Packages:
analysis_requirements.txt.
"""

import sys

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

CELLS, GENES, WITHOUT_PLACE, SEED = 60, 200, 7, 7


def main():
    sample, out = sys.argv[1], sys.argv[2]
    random = np.random.default_rng(SEED)
    genes = anndata.read_h5ad(sample).var_names[:GENES]
    group = np.arange(CELLS) % 3
    mean = np.full((CELLS, GENES), 0.6)
    for at in range(3):
        mean[np.ix_(group == at, np.arange(GENES) % 5 == at)] = 4.0
    counts = random.poisson(mean).astype("float32")
    obs = pd.DataFrame(index=[f"cell{at:02}" for at in range(CELLS)])
    names = np.array(["first", "second", "third"])[group].astype(object)
    names[::9] = None
    obs["group"] = pd.Categorical(names)
    umap = np.stack([np.cos(group * 2.1), np.sin(group * 2.1)], axis=1) * 4 + random.normal(0, 0.8, (CELLS, 2))
    everywhere = random.normal(0, 3, (CELLS, 3))
    umap[:WITHOUT_PLACE] = np.nan
    data = anndata.AnnData(scipy.sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=genes))
    data.obsm["X_umap"] = umap.astype("float32")
    data.obsm["X_mds"] = everywhere.astype("float32")
    data.write_h5ad(out, compression="gzip")


if __name__ == "__main__":
    main()
