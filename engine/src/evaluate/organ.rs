//! Which organ a tissue belongs to, as far as its name tells.

/// Parts of names of tissues and the organ they speak for; the first that a name holds counts.
const ORGANS: [(&str, &str); 74] = [
    ("adrenal", "adrenal gland"),
    ("kidney", "kidney"),
    ("renal", "kidney"),
    ("retina", "eye"),
    ("eye", "eye"),
    ("cornea", "eye"),
    ("choroid plexus", "brain"),
    ("choroid", "eye"),
    ("cerebr", "brain"),
    ("cerebell", "brain"),
    ("brain", "brain"),
    ("telencephal", "brain"),
    ("cortex", "brain"),
    ("hippocamp", "brain"),
    ("gyrus", "brain"),
    ("thalam", "brain"),
    ("amygdala", "brain"),
    ("striatum", "brain"),
    ("putamen", "brain"),
    ("substantia nigra", "brain"),
    ("pons", "brain"),
    ("medulla oblongata", "brain"),
    ("spinal cord", "spinal cord"),
    ("lung", "lung"),
    ("bronch", "lung"),
    ("alveol", "lung"),
    ("airway", "airway"),
    ("nose", "airway"),
    ("nasal", "airway"),
    ("trachea", "airway"),
    ("respiratory", "airway"),
    ("gastrocnemius", "muscle"),
    ("colon", "intestine"),
    ("rectum", "intestine"),
    ("ileum", "intestine"),
    ("jejunum", "intestine"),
    ("duodenum", "intestine"),
    ("intestin", "intestine"),
    ("caecum", "intestine"),
    ("appendix", "intestine"),
    ("esophag", "esophagus"),
    ("stomach", "stomach"),
    ("gastric", "stomach"),
    ("bone marrow", "bone marrow"),
    ("blood vessel", "blood vessel"),
    ("blood", "blood"),
    ("spleen", "spleen"),
    ("lymph node", "lymph node"),
    ("tonsil", "tonsil"),
    ("thymus", "thymus"),
    ("liver", "liver"),
    ("hepatic", "liver"),
    ("pancrea", "pancreas"),
    ("islet of langerhans", "pancreas"),
    ("skin", "skin"),
    ("dermis", "skin"),
    ("breast", "breast"),
    ("mammary", "breast"),
    ("heart", "heart"),
    ("cardiac", "heart"),
    ("atrium", "heart"),
    ("prostate", "prostate gland"),
    ("testis", "testis"),
    ("ovar", "ovary"),
    ("placenta", "placenta"),
    ("decidua", "uterus"),
    ("endometri", "uterus"),
    ("uter", "uterus"),
    ("adipose", "adipose tissue"),
    ("bladder", "bladder"),
    ("thyroid", "thyroid gland"),
    ("muscle", "muscle"),
    ("tongue", "mouth"),
    ("gingiva", "mouth"),
];

/// The organ of a tissue; the tissue itself, in lower case, where its name speaks for none of those known.
pub(super) fn organ(tissue: &str) -> String {
    let tissue = tissue.trim().to_lowercase();
    match ORGANS.iter().find(|(part, _)| tissue.contains(part)) {
        Some((_, organ)) => (*organ).to_owned(),
        None => tissue,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_organ_fall_together() {
        for (tissue, expected) in [
            ("Skin of body", "skin"),
            ("skin", "skin"),
            ("dorsolateral prefrontal cortex", "brain"),
            ("cortex of kidney", "kidney"),
            ("adrenal cortex", "adrenal gland"),
            ("lung parenchyma", "lung"),
            ("retina", "eye"),
            ("umbilical cord", "umbilical cord"),
        ] {
            assert_eq!(organ(tissue), expected, "{tissue}");
        }
    }
}
