"""Writes a small file of made-up counts that satisfies the CELLxGENE schema (7.1), to see that copies of it do so too.

python cellxgene_source.py FILE

The test that uses it needs the schema's own program: pip install cellxgene-schema==7.1.2, and its path in
CELL2TEXT_CELLXGENE_SCHEMA.
"""

import sys

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

rng = np.random.default_rng(5)
genes = """ENSG00000141510 ENSG00000012048 ENSG00000139618 ENSG00000167286 ENSG00000198851 ENSG00000160654 ENSG00000153563
ENSG00000010610 ENSG00000156738 ENSG00000105369 ENSG00000090382 ENSG00000101439 ENSG00000163736 ENSG00000204287
ENSG00000115523 ENSG00000105374""".split()
n, m = 60, len(genes)
counts = rng.poisson(2, size=(n, m)).astype(np.float32)
counts[:, 0] += 1
same = {
    "assay_ontology_term_id": "EFO:0009922",
    "development_stage_ontology_term_id": "unknown",
    "disease_ontology_term_id": "PATO:0000461",
    "self_reported_ethnicity_ontology_term_id": "unknown",
    "sex_ontology_term_id": "PATO:0000384",
    "suspension_type": "cell",
    "tissue_ontology_term_id": "UBERON:0000178",
    "tissue_type": "tissue",
}
obs = pd.DataFrame(
    {name: pd.Categorical([value] * n) for name, value in same.items()}
    | {
        "cell_type_ontology_term_id": pd.Categorical(rng.choice(["CL:0000084", "CL:0000236"], n)),
        "donor_id": pd.Categorical(rng.choice(["d1", "d2"], n)),
        "is_primary_data": np.ones(n, bool),
    },
    index=[f"cell{i}" for i in range(n)],
)
data = anndata.AnnData(
    sp.csr_matrix(counts),
    obs=obs,
    var=pd.DataFrame({"feature_is_filtered": np.zeros(m, bool)}, index=genes),
    obsm={"X_umap": rng.normal(size=(n, 2)).astype(np.float32)},
    uns={"title": "A small data set", "organism_ontology_term_id": "NCBITaxon:9606"},
)
data.write_h5ad(sys.argv[1], compression="gzip")
