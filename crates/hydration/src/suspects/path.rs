//! Paths of values, numbered.

use std::collections::HashMap;

/// The most paths of a batch. Values at other paths are not compared.
const MAX_PATHS: usize = 8_192;
/// The most keys under one path. An object with more of them is a map whose keys are data.
const MAX_CHILDREN: usize = 256;
/// The characters of a key that a path keeps.
const MAX_KEY_CHARS: usize = 80;

/// The number of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(u32);

impl PathId {
    /// The path of a whole document.
    pub const ROOT: Self = Self(0);

    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A step from a path to a longer one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathStep {
    Key(Box<str>),
    Element,
    /// A column of a line of text, from 1.
    Column(u32),
}

impl PathStep {
    pub fn key(key: &str) -> Self {
        Self::Key(first_chars(key).into())
    }
}

#[derive(Debug)]
struct Node {
    parent: PathId,
    step: PathStep,
    children: usize,
}

/// The paths of a batch. It is a tree, and it grows up to its limits.
#[derive(Debug)]
pub struct Paths {
    nodes: Vec<Node>,
    ids: HashMap<(PathId, PathStep), PathId>,
}

impl Default for Paths {
    fn default() -> Self {
        let root = Node { parent: PathId::ROOT, step: PathStep::Element, children: 0 };
        Self { nodes: vec![root], ids: HashMap::new() }
    }
}

impl Paths {
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The path of a key. `None` where a limit is reached.
    pub fn key(&mut self, parent: PathId, key: &str) -> Option<PathId> {
        self.child(parent, PathStep::key(key))
    }

    /// The path of a step. `None` where a limit is reached.
    pub fn child(&mut self, parent: PathId, step: PathStep) -> Option<PathId> {
        let known = (parent, step);
        if let Some(id) = self.ids.get(&known) {
            return Some(*id);
        }
        let id = PathId(u32::try_from(self.nodes.len()).ok()?);
        let siblings = self.nodes.get(parent.index())?.children;
        if self.nodes.len() == MAX_PATHS || siblings == MAX_CHILDREN {
            return None;
        }
        self.nodes.get_mut(parent.index())?.children += 1;
        self.nodes.push(Node { parent, step: known.1.clone(), children: 0 });
        self.ids.insert(known, id);
        Some(id)
    }

    pub fn parent(&self, path: PathId) -> PathId {
        self.nodes.get(path.index()).map_or(PathId::ROOT, |node| node.parent)
    }

    /// The last step of a path.
    pub fn step(&self, path: PathId) -> Option<&PathStep> {
        self.nodes.get(path.index()).map(|node| &node.step)
    }

    pub fn ids(&self) -> impl Iterator<Item = PathId> + use<> {
        (0..u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)).map(PathId)
    }

    /// The last key of the path; that of the list for an element.
    pub fn last_key(&self, path: PathId) -> Option<&str> {
        let mut path = path;
        while path != PathId::ROOT {
            let node = self.nodes.get(path.index())?;
            if let PathStep::Key(key) = &node.step {
                return Some(key);
            }
            path = node.parent;
        }
        None
    }

    /// Returns true if the last step is a key.
    pub fn is_key(&self, path: PathId) -> bool {
        path != PathId::ROOT && self.nodes.get(path.index()).is_some_and(|node| matches!(node.step, PathStep::Key(_)))
    }

    /// Returns true if each unit has the path once at most.
    pub fn is_single(&self, path: PathId) -> bool {
        let mut path = path;
        while path != PathId::ROOT {
            match self.nodes.get(path.index()) {
                Some(Node { step: PathStep::Key(_) | PathStep::Column(_), parent, .. }) => path = *parent,
                _ => return false,
            }
        }
        true
    }

    /// The path in words: `lines[].price`, `column 3`.
    pub fn name(&self, path: PathId) -> String {
        let mut steps = Vec::new();
        let mut path = path;
        while path != PathId::ROOT {
            let Some(node) = self.nodes.get(path.index()) else { break };
            steps.push(&node.step);
            path = node.parent;
        }
        let mut name = String::new();
        for step in steps.into_iter().rev() {
            match step {
                PathStep::Key(key) => {
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(key);
                }
                PathStep::Element => name.push_str("[]"),
                PathStep::Column(number) => name.push_str(&format!("column {number}")),
            }
        }
        name
    }
}

fn first_chars(key: &str) -> &str {
    key.char_indices().nth(MAX_KEY_CHARS).map_or(key, |(end, _)| key.get(..end).unwrap_or(key))
}
