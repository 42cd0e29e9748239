//! Files and their names together: what the operations change, and what a crash leaves of it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::names::{Inode, Names};
use super::node::Node;
use super::random::Random;
use crate::OpenMode;

/// What becomes of all that is not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMode {
    /// It is lost.
    LoseUnsynced,
    /// It is there, as after the mere end of a process, and as little durable as before: a power loss may follow.
    KeepAll,
    /// Each write and each change of a name is there or lost, so that later ones may survive earlier ones.
    Reorder,
    /// The same, and a write that is there may be cut at any byte or miss some of its sectors.
    Tear,
}

impl CrashMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::LoseUnsynced, Self::KeepAll, Self::Reorder, Self::Tear];
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) names: Names,
    /// Also those without a name: a handle may be open, a removal may be undone.
    nodes: BTreeMap<Inode, Node>,
    inode_next: Inode,
}

impl Disk {
    pub(super) fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Inode> {
        match (self.names.get(path), mode) {
            (found, OpenMode::Read | OpenMode::ReadWrite) => found,
            (Ok(inode), OpenMode::Truncate) => {
                self.node_mut(inode).set_length(path, 0);
                Ok(inode)
            }
            (_, OpenMode::CreateNew | OpenMode::Truncate) => self.create(path, Node::default()),
        }
    }

    pub(super) fn node(&self, inode: Inode) -> &Node {
        self.nodes.get(&inode).expect("nodes are never dropped")
    }

    pub(super) fn node_mut(&mut self, inode: Inode) -> &mut Node {
        self.nodes.get_mut(&inode).expect("nodes are never dropped")
    }

    /// Gives a file, made when missing, other content, as if it had always held that.
    pub(super) fn put(&mut self, path: &Path, content: Vec<u8>) -> io::Result<()> {
        match self.names.get(path) {
            Ok(inode) => *self.node_mut(inode) = Node::holding(content),
            Err(_) => {
                let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
                self.names.create_directories(directory);
                self.create(path, Node::holding(content))?;
                self.names.sync(directory)?;
            }
        }
        Ok(())
    }

    /// What a process that starts after a crash finds.
    pub(super) fn after_crash(&self, random: &mut Random, mode: CrashMode) -> Self {
        let names = self.names.after_crash(random, mode);
        let nodes = self
            .nodes
            .iter()
            .map(|(inode, node)| (*inode, node.after_crash(random, mode)))
            .collect();
        Self {
            names,
            nodes,
            inode_next: self.inode_next,
        }
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<Inode> {
        self.names.create(path, self.inode_next)?;
        self.nodes.insert(self.inode_next, node);
        self.inode_next += 1;
        Ok(self.inode_next - 1)
    }
}
