//! Coarse lineages: families of cell types that hardly any study confuses.

use super::Ontology;

/// Terms of the Cell Ontology and the lineage of all their kinds. A type belongs to the lineage of the first of these
/// terms that it is or is a kind of, so that, say, microglia are phagocytes before they are glia, and cells of the
/// pancreatic islets epithelium before they are neuroendocrine.
pub const LINEAGES: [(&str, &str); 54] = [
    ("CL:0000586", "germ cells"),                      // germ cell
    ("CL:0000084", "T, NK and innate lymphoid cells"), // T cell
    ("CL:0001065", "T, NK and innate lymphoid cells"), // innate lymphoid cell; natural killer cells are such
    ("CL:0000893", "T, NK and innate lymphoid cells"), // thymocyte
    ("CL:0000827", "T, NK and innate lymphoid cells"), // pro-T cell
    ("CL:0000945", "B and plasma cells"),              // lymphocyte of B lineage
    ("CL:0000826", "B and plasma cells"),              // pro-B cell
    ("CL:0000113", "mononuclear phagocytes"),          // mononuclear phagocyte
    ("CL:0000576", "mononuclear phagocytes"),          // monocyte
    ("CL:0000235", "mononuclear phagocytes"),          // macrophage
    ("CL:0000451", "mononuclear phagocytes"),          // dendritic cell
    ("CL:0000092", "mononuclear phagocytes"),          // osteoclast
    ("CL:0000145", "mononuclear phagocytes"),          // professional antigen presenting cell
    ("CL:0000094", "granulocytes and mast cells"),     // granulocyte
    ("CL:0000097", "granulocytes and mast cells"),     // mast cell
    ("CL:0000764", "erythroid cells"),                 // erythroid lineage cell
    ("CL:0000233", "megakaryocytes and platelets"),    // platelet
    ("CL:0000556", "megakaryocytes and platelets"),    // megakaryocyte
    ("CL:0000553", "megakaryocytes and platelets"),    // megakaryocyte progenitor cell
    ("CL:0008001", "blood precursors"),                // hematopoietic precursor cell
    ("CL:0000351", "trophoblast"),                     // trophoblast cell
    ("CL:0000115", "endothelial cells"),               // endothelial cell
    ("CL:0000147", "pigment cells"),                   // pigment cell
    ("CL:0000187", "muscle and mural cells"),          // muscle cell
    ("CL:0000188", "muscle and mural cells"),          // cell of skeletal muscle
    ("CL:0000594", "muscle and mural cells"),          // skeletal muscle satellite cell
    ("CL:0000056", "muscle and mural cells"),          // myoblast
    ("CL:0008034", "muscle and mural cells"),          // mural cell
    ("CL:0000669", "muscle and mural cells"),          // pericyte
    ("CL:4033054", "muscle and mural cells"),          // perivascular cell
    ("CL:0000164", "epithelial cells"),                // enteroendocrine cell
    ("CL:0008024", "epithelial cells"),                // pancreatic endocrine cell
    ("CL:0000165", "epithelial cells"),                // neuroendocrine cell
    ("CL:0000066", "epithelial cells"),                // epithelial cell
    ("CL:0000540", "neurons"),                         // neuron
    ("CL:0000031", "neurons"),                         // neuroblast
    ("CL:0011020", "neurons"),                         // neural progenitor cell
    ("CL:0000125", "glia"),                            // glial cell
    ("CL:0000646", "epithelial cells"),                // basal cell
    ("CL:0000163", "epithelial cells"),                // endocrine cell
    ("CL:0000319", "epithelial cells"),                // mucus secreting cell
    ("CL:0000677", "epithelial cells"),                // gut absorptive cell
    ("CL:0005026", "epithelial cells"),                // hepatoblast
    ("CL:0000178", "stroma"),                          // Leydig cell
    ("CL:0000057", "stroma"),                          // fibroblast
    ("CL:0000499", "stroma"),                          // stromal cell
    ("CL:0000136", "stroma"),                          // adipocyte
    ("CL:0000134", "stroma"),                          // mesenchymal stem cell
    ("CL:0000062", "stroma"),                          // osteoblast
    ("CL:0000138", "stroma"),                          // chondrocyte
    ("CL:0000058", "stroma"),                          // chondroblast
    ("CL:0002320", "stroma"),                          // connective tissue cell
    ("CL:0008019", "stroma"),                          // mesenchymal cell
    ("CL:0001064", "malignant cells"),                 // malignant cell
];

/// The lineage of a cell type; `None` for types above all lineages, as `leukocyte`.
pub fn lineage(ontology: &Ontology, id: &str) -> Option<&'static str> {
    let ancestors = ontology.ancestors(id);
    LINEAGES.iter().find(|(term, _)| *term == id || ancestors.contains_key(term)).map(|(_, lineage)| *lineage)
}

/// Whether two types agree in lineage: both are of the same one, or what was `said` is a kind of the `truth`, as where
/// the truth stands above all lineages.
pub fn same_lineage(ontology: &Ontology, said: &str, truth: &str) -> bool {
    let own = lineage(ontology, said);
    (own.is_some() && own == lineage(ontology, truth)) || ontology.is_a(said, truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lineage_is_defined_by_terms_in_use() {
        let ontology = Ontology::builtin().unwrap();
        for (id, lineage) in LINEAGES {
            assert!(ontology.term(id).is_some_and(|t| !t.deprecated), "{id} of {lineage}");
        }
    }

    #[test]
    fn types_fall_into_the_lineage_a_biologist_would_name() {
        let ontology = Ontology::builtin().unwrap();
        for (id, expected) in [
            ("CL:0000623", Some("T, NK and innate lymphoid cells")), // natural killer cell
            ("CL:0000129", Some("mononuclear phagocytes")),          // microglial cell
            ("CL:0000173", Some("epithelial cells")),                // pancreatic D cell
            ("CL:0000182", Some("epithelial cells")),                // hepatocyte
            ("CL:0000786", Some("B and plasma cells")),              // plasma cell
            ("CL:0000127", Some("glia")),                            // astrocyte
            ("CL:0000746", Some("muscle and mural cells")),          // cardiac muscle cell
            ("CL:2000008", Some("endothelial cells")),               // microvascular endothelial cell
            ("CL:0000738", None),                                    // leukocyte
        ] {
            assert_eq!(lineage(ontology, id), expected, "{id}");
        }
        assert!(same_lineage(ontology, "CL:0000624", "CL:0000738"), "a T cell is a leukocyte");
        assert!(!same_lineage(ontology, "CL:0000738", "CL:0000624"));
        assert!(!same_lineage(ontology, "CL:0000236", "CL:0000084"));
    }
}
