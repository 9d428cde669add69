//! The surroundings of a term: what it is a kind of, what stands beside it, what its kinds are.

use std::collections::{BTreeSet, HashMap};

use super::graph::Ontology;
use super::layout;
use crate::error::Problem;
use crate::{Error, Result};

/// How many terms of each role a neighbourhood shows at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Terms above, the nearest first.
    pub ancestors: usize,
    /// Terms beside.
    pub siblings: usize,
    /// Terms below.
    pub children: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { ancestors: 24, siblings: 6, children: 8 }
    }
}

/// More of one role than this is no picture any more, and its layout would take long.
const MOST: usize = 120;

/// What a term is to the focus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The term asked for.
    Focus,
    /// Of which the focus is a kind.
    Ancestor,
    /// Another kind of one of the focus's parents.
    Sibling,
    /// A kind of the focus.
    Child,
}

/// A term in the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The term's id.
    pub id: String,
    /// Its label.
    pub label: String,
    /// What it is to the focus.
    pub role: Role,
    /// Its layer, 0 being the topmost; every term lies below those it is a kind of.
    pub layer: usize,
    /// Where it is drawn: x in columns, y the layer. In a layer, nodes are at least one column apart.
    pub position: [f32; 2],
    /// Its direct kinds that are not in the picture.
    pub hidden_children: usize,
}

/// A term with its surroundings, laid out in layers.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbourhood {
    /// The id of the term in the middle: the one asked for, or the one that replaced it.
    pub focus: String,
    /// The terms, the focus first.
    pub nodes: Vec<Node>,
    /// The `is_a` relations among them, as indices into `nodes`: the kind, and what it is a kind of.
    pub edges: Vec<(usize, usize)>,
    /// Where each edge passes the layers between its ends, from the kind upwards: x and y as in [`Node::position`].
    /// Empty for an edge between neighbouring layers.
    pub bends: Vec<Vec<[f32; 2]>>,
}

impl Ontology {
    /// The surroundings of `id`: its ancestors above, other kinds of its parents beside, its kinds below.
    ///
    /// Where there are more than `limits` allow, the nearest ancestors, the siblings that share most parents, and
    /// the children with most kinds of their own are shown; each node says how many of its kinds are not. For a
    /// deprecated term the one that replaced it is shown.
    ///
    /// # Errors
    /// [`Error::Ontology`] when there is no such term.
    pub fn neighbourhood(&self, id: &str, limits: Limits) -> Result<Neighbourhood> {
        let focus = self.current(id).and_then(|term| self.at(&term.id)).ok_or_else(|| {
            Error::ontology(Problem::new(
                format!("the term {id}"),
                "no such term",
                format!("a term of the release {}", self.version()),
                "Search by name, or choose a newer ontology file.",
            ))
        })?;
        let ancestors: Vec<usize> = self
            .upwards(focus)
            .into_iter()
            .skip(1)
            .map(|(at, _)| at)
            .take(limits.ancestors.min(MOST))
            .collect();
        let all_ancestors: BTreeSet<usize> = self.upwards(focus).into_iter().map(|(at, _)| at).collect();
        let children = self.chosen_children(focus, limits.children.min(MOST));
        let siblings = self.chosen_siblings(focus, &all_ancestors, limits.siblings.min(MOST));

        // The focus stands amid its siblings before the layout begins, and stays there where nothing pulls.
        let (left, right) = siblings.split_at(siblings.len() / 2);
        let mut shown: Vec<(usize, Role)> = vec![(focus, Role::Focus)];
        shown.extend(ancestors.iter().map(|at| (*at, Role::Ancestor)));
        shown.extend(siblings.iter().map(|at| (*at, Role::Sibling)));
        shown.extend(children.iter().map(|at| (*at, Role::Child)));
        let slots: HashMap<usize, usize> =
            shown.iter().enumerate().map(|(slot, (at, _))| (*at, slot)).collect();
        let edges: Vec<(usize, usize)> = shown
            .iter()
            .enumerate()
            .flat_map(|(slot, (at, _))| {
                self.parents_of(*at)
                    .iter()
                    .filter_map(|parent| slots.get(parent))
                    .map(move |parent| (slot, *parent))
            })
            .collect();

        let roles: Vec<Role> = shown.iter().map(|(_, role)| *role).collect();
        let layers = layers(&roles, &edges);
        let order: Vec<usize> = left
            .iter()
            .chain([&focus])
            .chain(right)
            .chain(&ancestors)
            .chain(&children)
            .filter_map(|at| slots.get(at).copied())
            .collect();
        let places = layout::places(&layers, &edges, &order);
        let bends = edges
            .iter()
            .zip(&places.bends)
            .map(|((child, _), columns)| {
                let lowest = layers.get(*child).copied().unwrap_or_default();
                columns.iter().enumerate().map(|(up, x)| [*x, lowest as f32 - 1.0 - up as f32]).collect()
            })
            .collect();
        let nodes = shown
            .iter()
            .zip(layers.iter().zip(places.columns))
            .map(|((at, role), (layer, column))| Node {
                id: self.id(*at).to_owned(),
                label: self.terms()[*at].label.clone(),
                role: *role,
                layer: *layer,
                position: [column, *layer as f32],
                hidden_children: self.children_of(*at).filter(|child| !slots.contains_key(child)).count(),
            })
            .collect();
        Ok(Neighbourhood { focus: self.id(focus).to_owned(), nodes, edges, bends })
    }

    fn chosen_children(&self, focus: usize, limit: usize) -> Vec<usize> {
        let mut children: Vec<usize> = self.children_of(focus).collect();
        children.sort_by_key(|at| (std::cmp::Reverse(self.children_of(*at).count()), self.label(*at)));
        children.truncate(limit);
        children.sort_by_key(|at| self.label(*at));
        children
    }

    /// Kinds of the focus's parents that are neither above nor below it, nor below one another.
    fn chosen_siblings(&self, focus: usize, ancestors: &BTreeSet<usize>, limit: usize) -> Vec<usize> {
        let mut shared: HashMap<usize, usize> = HashMap::new();
        for parent in self.parents_of(focus) {
            for child in self.children_of(*parent).filter(|child| !ancestors.contains(child)) {
                *shared.entry(child).or_default() += 1;
            }
        }
        let mut siblings: Vec<usize> = shared.keys().copied().collect();
        siblings.retain(|at| {
            let above = self.upwards(*at);
            above.iter().skip(1).all(|(above, _)| *above != focus && !shared.contains_key(above))
        });
        siblings.sort_by_key(|at| {
            (std::cmp::Reverse(shared[at]), std::cmp::Reverse(self.children_of(*at).count()), self.label(*at))
        });
        siblings.truncate(limit);
        siblings.sort_by_key(|at| self.label(*at));
        siblings
    }

    fn label(&self, at: usize) -> &str {
        &self.terms()[at].label
    }
}

/// Layers by longest paths: ancestors as high as the longest path down to the focus is long, siblings in the
/// focus's layer, children as low as the longest path down to them is long.
fn layers(roles: &[Role], edges: &[(usize, usize)]) -> Vec<usize> {
    let mut height = vec![0_i64; roles.len()];
    let above = |slot: usize| matches!(roles[slot], Role::Ancestor);
    // An ancestor is higher than all of its kinds that lead to the focus; siblings lead nowhere.
    let upward: Vec<_> =
        edges.iter().filter(|(child, _)| matches!(roles[*child], Role::Focus) || above(*child)).collect();
    let downward: Vec<_> = edges.iter().filter(|(child, _)| matches!(roles[*child], Role::Child)).collect();
    for _ in 0..roles.len() {
        let mut moved = false;
        for (child, parent) in &upward {
            if above(*parent) && height[*parent] <= height[*child] {
                height[*parent] = height[*child] + 1;
                moved = true;
            }
        }
        for (child, parent) in &downward {
            if height[*child] >= height[*parent].min(0) {
                height[*child] = height[*parent].min(0) - 1;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    let top = height.iter().copied().max().unwrap_or(0);
    height.into_iter().map(|height| (top - height) as usize).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(picture: &Neighbourhood) {
        assert_eq!(picture.nodes[0].id, picture.focus);
        let focus_layer = picture.nodes[0].layer;
        for node in &picture.nodes {
            match node.role {
                Role::Focus | Role::Sibling => assert_eq!(node.layer, focus_layer, "{}", node.label),
                Role::Ancestor => assert!(node.layer < focus_layer, "{}", node.label),
                Role::Child => assert!(node.layer > focus_layer, "{}", node.label),
            }
            assert_eq!(node.position[1], node.layer as f32);
            assert!(node.position[0].is_finite() && node.position[0] >= 0.0);
        }
        for (child, parent) in &picture.edges {
            assert!(picture.nodes[*child].layer > picture.nodes[*parent].layer);
        }
        assert_eq!(picture.edges.len(), picture.bends.len());
        for ((child, parent), bends) in picture.edges.iter().zip(&picture.bends) {
            let (from, to) = (picture.nodes[*child].layer, picture.nodes[*parent].layer);
            assert_eq!(bends.len(), from - to - 1);
            for (up, bend) in bends.iter().enumerate() {
                assert_eq!(bend[1], (from - 1 - up) as f32);
                for node in picture.nodes.iter().filter(|n| n.position[1] == bend[1]) {
                    assert!((node.position[0] - bend[0]).abs() > 0.49, "an edge runs through {}", node.label);
                }
            }
        }
        for (at, a) in picture.nodes.iter().enumerate() {
            for b in &picture.nodes[at + 1..] {
                assert!(a.id != b.id);
                if a.layer == b.layer {
                    assert!((a.position[0] - b.position[0]).abs() > 0.99, "{} on {}", a.label, b.label);
                }
            }
        }
    }

    #[test]
    fn the_neighbourhood_of_monocytes_shows_what_is_above_beside_and_below() {
        let ontology = Ontology::builtin().unwrap();
        let picture = ontology.neighbourhood("CL:0000576", Limits::default()).unwrap();
        check(&picture);
        let role = |label: &str| picture.nodes.iter().find(|node| node.label == label).map(|node| node.role);
        assert_eq!(role("monocyte"), Some(Role::Focus));
        assert_eq!(role("leukocyte"), Some(Role::Ancestor));
        assert_eq!(role("cell"), Some(Role::Ancestor));
        assert_eq!(role("classical monocyte"), Some(Role::Child));
        assert!(picture.nodes.iter().any(|node| node.role == Role::Sibling));
        let cell = picture.nodes.iter().find(|node| node.label == "cell").unwrap();
        assert!(cell.layer == 0 && cell.hidden_children > 20);
        let shown = picture.nodes.iter().filter(|node| node.role == Role::Child).count();
        assert_eq!(shown + picture.nodes[0].hidden_children, ontology.children("CL:0000576").len());
    }

    #[test]
    fn an_unknown_term_is_an_error_and_a_deprecated_one_its_successor() {
        let ontology = Ontology::builtin().unwrap();
        assert!(ontology.neighbourhood("CL:1", Limits::default()).unwrap_err().to_string().contains("CL:1"));
        assert_eq!(ontology.neighbourhood("CL:0000003", Limits::default()).unwrap().focus, "CL:0000000");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn every_neighbourhood_is_layered_and_nothing_overlaps(
            at in 0_usize..3399, ancestors in 0_usize..40, siblings in 0_usize..20, children in 0_usize..30,
        ) {
            let ontology = Ontology::builtin().unwrap();
            let id = &ontology.terms()[at].id;
            let limits = Limits { ancestors, siblings, children };
            let picture = ontology.neighbourhood(id, limits).unwrap();
            check(&picture);
            let count = |role: Role| picture.nodes.iter().filter(|node| node.role == role).count();
            prop_assert!(count(Role::Ancestor) <= ancestors && count(Role::Sibling) <= siblings);
            prop_assert!(count(Role::Child) <= children);
            prop_assert_eq!(&ontology.neighbourhood(id, limits).unwrap(), &picture);
        }
    }
}
