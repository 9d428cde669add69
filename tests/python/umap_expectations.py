"""How well umap-learn keeps the neighbours of cells whose principal components stand in a file, as JSON for the tests of
the engine, which lays the very same components out.

    python umap_expectations.py BREAST_VISIUM.h5ad FOLDER

writes umap_breast_visium.json into FOLDER, `tests/expected` of this repository: scikit-learn's trustworthiness of
umap-learn's map of obsm/X_pca for three seeds, and a sum over X_pca that says both read the same numbers. Packages:
analysis_requirements.txt.
"""

import json
import pathlib
import sys

import h5py
import numpy as np
import umap
from sklearn.manifold import trustworthiness

NEIGHBOURS, MIN_DIST = 15, 0.5


def main():
    path, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    with h5py.File(path) as file:
        pca = file["obsm/X_pca"][:].astype("float32")
    found = []
    for seed in range(3):
        positions = umap.UMAP(n_neighbors=NEIGHBOURS, min_dist=MIN_DIST, random_state=seed).fit_transform(pca)
        found.append(round(float(trustworthiness(pca, positions, n_neighbors=NEIGHBOURS)), 6))
    value = {
        "file": path.name,
        "shape": list(pca.shape),
        "sum_of_sizes": float(np.abs(pca.astype("float64")).sum()),
        "trustworthiness_umap_learn": found,
    }
    (folder / "umap_breast_visium.json").write_text(json.dumps(value) + "\n")


if __name__ == "__main__":
    main()
