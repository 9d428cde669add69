//! Gene sets: the built-in Hallmark sets, and the user's own from GMT files.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use flate2::read::MultiGzDecoder;

use crate::error::Problem;
use crate::{Error, Result, assets};

/// All of MSigDB is 35,000 sets in 30 MB; what is larger than this is something else.
const MAX_BYTES: u64 = 256 << 20;

/// The sets that the Cell2Text paper keeps: those active in more than 0.5 % of its cells.
pub const PAPER_SETS: [&str; 34] = [
    "HALLMARK_ANDROGEN_RESPONSE",
    "HALLMARK_APOPTOSIS",
    "HALLMARK_UV_RESPONSE_DN",
    "HALLMARK_INTERFERON_GAMMA_RESPONSE",
    "HALLMARK_HEDGEHOG_SIGNALING",
    "HALLMARK_TNFA_SIGNALING_VIA_NFKB",
    "HALLMARK_ALLOGRAFT_REJECTION",
    "HALLMARK_INTERFERON_ALPHA_RESPONSE",
    "HALLMARK_CHOLESTEROL_HOMEOSTASIS",
    "HALLMARK_ANGIOGENESIS",
    "HALLMARK_NOTCH_SIGNALING",
    "HALLMARK_MYC_TARGETS_V2",
    "HALLMARK_EPITHELIAL_MESENCHYMAL_TRANSITION",
    "HALLMARK_P53_PATHWAY",
    "HALLMARK_PANCREAS_BETA_CELLS",
    "HALLMARK_HYPOXIA",
    "HALLMARK_WNT_BETA_CATENIN_SIGNALING",
    "HALLMARK_APICAL_SURFACE",
    "HALLMARK_IL6_JAK_STAT3_SIGNALING",
    "HALLMARK_MYOGENESIS",
    "HALLMARK_COMPLEMENT",
    "HALLMARK_ESTROGEN_RESPONSE_LATE",
    "HALLMARK_HEME_METABOLISM",
    "HALLMARK_ESTROGEN_RESPONSE_EARLY",
    "HALLMARK_APICAL_JUNCTION",
    "HALLMARK_XENOBIOTIC_METABOLISM",
    "HALLMARK_COAGULATION",
    "HALLMARK_INFLAMMATORY_RESPONSE",
    "HALLMARK_GLYCOLYSIS",
    "HALLMARK_BILE_ACID_METABOLISM",
    "HALLMARK_KRAS_SIGNALING_UP",
    "HALLMARK_SPERMATOGENESIS",
    "HALLMARK_IL2_STAT5_SIGNALING",
    "HALLMARK_KRAS_SIGNALING_DN",
];

/// One set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneSet {
    /// Its name, as `HALLMARK_HYPOXIA`.
    pub name: String,
    /// Its genes, as symbols or Ensembl ids, each once.
    pub genes: Vec<String>,
}

/// A collection of sets, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GeneSets {
    sets: Vec<GeneSet>,
}

impl GeneSets {
    /// MSigDB's 50 Hallmark sets, parsed once.
    ///
    /// # Errors
    /// [`Error::Pathways`] when the built-in table is damaged.
    pub fn hallmark() -> Result<&'static Self> {
        static HALLMARK: OnceLock<std::result::Result<GeneSets, Problem>> = OnceLock::new();
        HALLMARK
            .get_or_init(|| {
                let text = text_of(assets::HALLMARK_TSV_GZ)?;
                Self::parse(&text, |line| {
                    let (name, genes) = line.split_once('\t')?;
                    Some((name, genes.split(' ').collect()))
                })
            })
            .as_ref()
            .map_err(|problem| Error::pathways(problem.clone()))
    }

    /// Reads a GMT file, plain or gzipped: a line a set, `name`, tab, description, tab, genes separated by tabs.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Pathways`] naming the line that is no set.
    pub fn read_gmt(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(|error| Error::io("open the gene sets", path, error))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io("read the gene sets", path, error))?;
        text_of(&bytes)
            .and_then(|text| Self::parse_gmt(&text))
            .map_err(|problem| Error::pathways(problem.in_file(path)))
    }

    fn parse_gmt(text: &str) -> std::result::Result<Self, Problem> {
        Self::parse(text, |line| {
            let mut cells = line.split('\t');
            let (name, _description) = (cells.next()?, cells.next()?);
            Some((name, cells.collect()))
        })
    }

    fn parse<'a>(
        text: &'a str,
        split: impl Fn(&'a str) -> Option<(&'a str, Vec<&'a str>)>,
    ) -> std::result::Result<Self, Problem> {
        let mut sets = Vec::new();
        let mut names = HashSet::new();
        let wrong = |number: usize, found: String| {
            Problem::new(
                format!("line {}", number + 1),
                found,
                "a set's name, a description and its genes, separated by tabs",
                "Choose a GMT file, as MSigDB gives them out.",
            )
        };
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let start = || format!("{:?}", line.chars().take(60).collect::<String>());
            let (name, genes) = split(line).ok_or_else(|| wrong(number, start()))?;
            let mut seen = HashSet::new();
            let genes: Vec<String> = genes
                .into_iter()
                .map(str::trim)
                .filter(|gene| !gene.is_empty() && seen.insert(*gene))
                .map(str::to_owned)
                .collect();
            let name = name.trim();
            if name.is_empty() || genes.is_empty() {
                return Err(wrong(number, start()));
            }
            if !names.insert(name) {
                return Err(wrong(number, format!("the set {name} for the second time")));
            }
            sets.push(GeneSet { name: name.to_owned(), genes });
        }
        if sets.is_empty() { Err(wrong(0, "no set".to_owned())) } else { Ok(Self { sets }) }
    }

    /// The sets, in the order of the file.
    pub fn sets(&self) -> &[GeneSet] {
        &self.sets
    }

    /// The set of a name.
    pub fn set(&self, name: &str) -> Option<&GeneSet> {
        self.sets.iter().find(|set| set.name == name)
    }

    /// Those of the sets that `names` names, in its order; see [`PAPER_SETS`].
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        Self { sets: names.iter().filter_map(|name| self.set(name).cloned()).collect() }
    }
}

fn text_of(bytes: &[u8]) -> std::result::Result<String, Problem> {
    let wrong = |found: String| {
        Problem::new(
            "the gene sets",
            found,
            "a GMT file: text, plain or gzipped",
            "Choose a GMT file, as MSigDB gives them out.",
        )
    };
    let mut plain = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        MultiGzDecoder::new(bytes)
            .take(MAX_BYTES + 1)
            .read_to_end(&mut plain)
            .map_err(|error| wrong(format!("a gzip file that breaks off ({error})")))?;
    } else {
        plain = bytes.to_vec();
    }
    if plain.len() as u64 > MAX_BYTES {
        return Err(wrong(format!("more than {} MiB", MAX_BYTES >> 20)));
    }
    String::from_utf8(plain).map_err(|_| wrong("bytes that are no text".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genes::GeneTable;
    use crate::test_support::shared_file;

    #[test]
    fn the_hallmark_sets_are_there_and_nearly_all_their_genes_are_known() {
        let sets = GeneSets::hallmark().unwrap();
        assert_eq!(sets.sets().len(), 50);
        let table = GeneTable::builtin().unwrap();
        let genes: HashSet<&str> =
            sets.sets().iter().flat_map(|set| &set.genes).map(String::as_str).collect();
        let unknown: Vec<&&str> = genes.iter().filter(|gene| table.resolve(gene).is_none()).collect();
        assert!(
            genes.len() > 4000 && unknown.len() < 20,
            "{} unknown of {}: {unknown:?}",
            unknown.len(),
            genes.len()
        );
    }

    #[test]
    fn the_papers_sets_are_34_of_the_hallmark_sets() {
        let kept = GeneSets::hallmark().unwrap().only(&PAPER_SETS);
        assert_eq!(kept.sets().len(), 34);
        assert_eq!(kept.sets()[3].name, "HALLMARK_INTERFERON_GAMMA_RESPONSE");
    }

    #[test]
    fn a_gmt_file_gives_the_same_sets_as_the_builtin_table() {
        let Some(path) = shared_file("data/genesets/h.all.v7.5.1.symbols.gmt") else { return };
        let read = GeneSets::read_gmt(&path).unwrap();
        for set in GeneSets::hallmark().unwrap().sets() {
            let mut genes = read.set(&set.name).unwrap().genes.clone();
            genes.sort();
            assert_eq!(genes, set.genes, "{}", set.name);
        }
    }

    #[test]
    fn what_is_no_gmt_is_said_to_be_none() {
        for (text, part) in [
            ("", "no set"),
            ("just words\n", "line 1"),
            ("A\tx\tG1\n\nB\tx\n", "line 3"),
            ("A\tx\tG1\nA\tx\tG2\n", "second time"),
        ] {
            let problem = GeneSets::parse_gmt(text).unwrap_err();
            assert!(problem.to_string().contains(part), "{problem}");
        }
        assert!(text_of(b"\xff\xfe").is_err() && text_of(b"\x1f\x8bx").is_err());
        assert!(GeneSets::read_gmt(Path::new("no such.gmt")).is_err());
        let sets = GeneSets::parse_gmt("A\tx\tG1\tG2\tG1\t\r\n").unwrap();
        assert_eq!(sets.sets()[0].genes, ["G1", "G2"]);
    }
}
