//! Which species the names of a file belong to.

use super::table::{Found, GeneTable, Matched};

/// A species, as far as it matters here: the built-in tables and models are human.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Species {
    /// *Homo sapiens*.
    Human,
    /// *Mus musculus*.
    Mouse,
    /// Any other species.
    Other,
}

impl Species {
    /// The name, for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Mouse => "mouse",
            Self::Other => "another species",
        }
    }

    /// The species of a file's `organism` entry: a name or an NCBI taxon.
    pub fn from_organism(organism: &str) -> Option<Self> {
        let organism = organism.trim().to_lowercase();
        let taxon = organism.strip_prefix("ncbitaxon:").unwrap_or(&organism);
        match taxon {
            "" | "unknown" | "na" | "nan" | "none" => None,
            "9606" | "homo sapiens" | "homo_sapiens" | "human" | "h. sapiens" | "hsapiens" | "grch38"
            | "hg38" | "hg19" => Some(Self::Human),
            "10090" | "mus musculus" | "mus_musculus" | "mouse" | "m. musculus" | "mmusculus" | "mm10"
            | "grcm38" | "grcm39" => Some(Self::Mouse),
            _ => Some(Self::Other),
        }
    }
}

/// How the names of a file look.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Census {
    names: usize,
    human_ids: usize,
    mouse_ids: usize,
    other_ids: usize,
    human_symbols: usize,
    lower_case_symbols: usize,
    mouse_style: usize,
}

impl Census {
    /// Counts one name; `found` is what the human table made of it.
    pub(super) fn count(&mut self, table: &GeneTable, name: &str, found: Option<&Found>) {
        self.names += 1;
        let name = name.trim();
        let bare =
            ["mm10_", "mm39_", "GRCm38_", "GRCm39_"].iter().find_map(|prefix| name.strip_prefix(prefix));
        if bare.is_some() || is_ensembl(name, "ENSMUSG") {
            self.mouse_ids += 1;
        } else if found.is_some_and(|found| found.matched == Matched::Ensembl) || is_ensembl(name, "ENSG") {
            self.human_ids += 1;
        } else if is_foreign_id(name) {
            self.other_ids += 1;
        } else if is_mouse_style(table, name) {
            self.mouse_style += 1;
        } else if let Some(found) = found {
            if found.case_changed {
                self.lower_case_symbols += 1;
            } else {
                self.human_symbols += 1;
            }
        }
    }

    /// The species these names speak for, with the reason; `organism` is what the file itself says.
    ///
    /// Identifiers decide before the file's own word, since they cannot belong to another species. The file's
    /// word decides before symbols, since other primates bear the same. What disagrees is said.
    pub(super) fn verdict(&self, organism: Option<&str>) -> (Option<Species>, String) {
        let said = organism.and_then(Species::from_organism);
        let word = organism.unwrap_or_default();
        let with_ids = self.human_ids + self.mouse_ids + self.other_ids;
        if with_ids * 2 > self.names {
            let (species, count, what) = [
                (Species::Human, self.human_ids, "ENSG"),
                (Species::Mouse, self.mouse_ids, "ENSMUSG or a mouse genome's name"),
                (Species::Other, self.other_ids, "identifiers of other species"),
            ]
            .into_iter()
            .fold((Species::Other, 0, ""), |best, next| if next.1 > best.1 { next } else { best });
            let mut reason = format!("{count} of {} gene names are {what}", self.names);
            if let Some(said) = said.filter(|said| *said != species) {
                reason += &format!("; the file says {word:?} ({}), which does not fit", said.label());
            }
            return (Some(species), reason);
        }
        let in_human_case = self.human_symbols + self.human_ids;
        let symbols = in_human_case + self.lower_case_symbols + self.mouse_style + self.mouse_ids;
        let by_symbols = if symbols == 0 || symbols * 10 < self.names {
            None
        } else if (self.mouse_style + self.mouse_ids) * 2 > symbols {
            let count = self.mouse_style + self.mouse_ids;
            Some((
                Species::Mouse,
                format!("{count} of {} gene names are written as the mouse's (Cd3e)", self.names),
            ))
        } else if self.lower_case_symbols > in_human_case {
            let count = self.lower_case_symbols;
            Some((
                Species::Human,
                format!("{count} of {} gene names are human symbols in lower case", self.names),
            ))
        } else {
            Some((Species::Human, format!("{in_human_case} of {} gene names are human symbols", self.names)))
        };
        match (by_symbols, said) {
            (Some((species, reason)), Some(said)) if said == species => (Some(species), reason),
            (Some((Species::Human, reason)), Some(said)) if self.lower_case_symbols <= in_human_case => {
                (Some(said), format!("the file says {word:?}, although {reason}"))
            }
            (Some((species, reason)), Some(said)) => (
                Some(species),
                format!("{reason}; the file says {word:?} ({}), which does not fit", said.label()),
            ),
            (Some((species, reason)), None) => (Some(species), reason),
            (None, Some(said)) => (Some(said), format!("the file says {word:?}")),
            (None, None) => (None, format!("too few of {} gene names are known", self.names)),
        }
    }
}

fn is_ensembl(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() >= 10 && rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Gene identifiers of species other than human and mouse: Ensembl's, FlyBase's, WormBase's.
fn is_foreign_id(name: &str) -> bool {
    let ensembl = name.strip_prefix("ENS").is_some_and(|rest| {
        let letters = rest.bytes().take_while(u8::is_ascii_uppercase).count();
        let digits = rest.bytes().skip(letters).take_while(u8::is_ascii_digit).count();
        (3..=6).contains(&letters) && digits == 11 && rest.as_bytes().get(letters - 1) == Some(&b'G')
    });
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() >= 7 && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    ensembl || numbered("FBgn") || numbered("WBGene")
}

/// Whether a symbol is written as the mouse's are: a capital, then small letters, and a human gene's symbol in
/// upper case; or one of the mouse's own numbered names (`1110008P14Rik`, `Gm12345`).
fn is_mouse_style(table: &GeneTable, name: &str) -> bool {
    if let Some(clone) = name.strip_suffix("Rik") {
        return clone.starts_with(|letter: char| letter.is_ascii_digit());
    }
    if let Some(number) = name.strip_prefix("Gm") {
        return number.len() >= 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    }
    // The mitochondrial genes (`mt-Nd1`) begin in lower case.
    let body = name.strip_prefix("mt-").unwrap_or(name);
    let mut letters = body.chars().filter(char::is_ascii_alphabetic);
    let capital = letters.next().is_some_and(|letter| letter.is_ascii_uppercase());
    let rest: Vec<char> = letters.collect();
    let small = !rest.is_empty() && rest.iter().all(char::is_ascii_lowercase);
    capital && small && table.is_symbol_in_upper_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(names: &[&str], organism: Option<&str>) -> (Option<Species>, String) {
        let table = GeneTable::builtin().unwrap();
        let mut census = Census::default();
        for name in names {
            census.count(table, name, table.find(name).as_ref());
        }
        census.verdict(organism)
    }

    #[test]
    fn identifiers_decide_before_the_files_word() {
        let (species, reason) =
            verdict(&["ENSMUSG00000024673", "ENSMUSG00000051951.6"], Some("Homo sapiens"));
        assert_eq!(species, Some(Species::Mouse));
        assert!(reason.contains("does not fit"), "{reason}");
        assert_eq!(verdict(&["ENSDARG00000000001", "ENSRNOG00000000002"], None).0, Some(Species::Other));
        assert_eq!(verdict(&["FBgn0000001", "WBGene00000001"], None).0, Some(Species::Other));
        assert_eq!(verdict(&["ENSG00000156738.2", "ENSG00000000003"], None).0, Some(Species::Human));
        assert_eq!(verdict(&["mm10_Cd3e", "mm10___Actb"], None).0, Some(Species::Mouse));
    }

    #[test]
    fn the_files_word_decides_before_symbols_that_primates_share() {
        let names = ["CD3E", "MS4A1", "LYZ", "NKG7"];
        assert_eq!(verdict(&names, Some("NCBITaxon:9544")).0, Some(Species::Other));
        assert_eq!(verdict(&names, Some("NCBITaxon:9606")).0, Some(Species::Human));
        assert_eq!(verdict(&names, None).0, Some(Species::Human));
    }

    #[test]
    fn mouse_style_symbols_are_the_mouses() {
        let names = ["Cd3e", "Ms4a1", "Actb", "Gm1992", "1110008P14Rik", "mt-Nd1"];
        assert_eq!(verdict(&names, None).0, Some(Species::Mouse));
        assert_eq!(verdict(&names, Some("Homo sapiens")).0, Some(Species::Mouse));
    }

    #[test]
    fn lower_case_human_symbols_are_human_and_the_reason_says_so() {
        let (species, reason) = verdict(&["cd3e", "ms4a1", "lyz"], None);
        assert_eq!(species, Some(Species::Human));
        assert!(reason.contains("lower case"), "{reason}");
    }

    #[test]
    fn unknown_names_speak_for_no_species() {
        assert_eq!(verdict(&["peak_1", "peak_2", "17"], None).0, None);
        assert_eq!(verdict(&[], None).0, None);
        assert_eq!(verdict(&["peak_1"], Some("mouse")).0, Some(Species::Mouse));
        assert_eq!(verdict(&["peak_1"], Some("unknown")).0, None);
    }
}
