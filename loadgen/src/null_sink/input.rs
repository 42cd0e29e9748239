//! What a connection sends: where its parsing stands, and where its last message went.

use wire::ContentHeader;

/// The receiving side of a connection.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// The beginning of a frame whose rest has not arrived.
    pub(super) remainder: Vec<u8>,
    /// Whether the protocol header has been read.
    pub(super) greeted: bool,
    /// The channel whose publishes are confirmed.
    pub(super) confirms_on: Option<u16>,
    /// Messages received, which is the tag of the last one's confirm.
    pub(super) published: u64,
    /// Payload of the last publish's method frame. Equal bytes mean an equal route.
    pub(super) last_method: Vec<u8>,
    /// The queues that it went to.
    pub(super) last_route: Vec<usize>,
    /// The topology's version when that was found out.
    pub(super) last_version: u64,
    /// A publish whose body comes in several frames.
    pub(super) partial: Option<Partial>,
}

/// A message of which frames are missing.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// Payload of the method frame.
    pub(super) method: Vec<u8>,
    /// Payload of the header frame.
    pub(super) header: Vec<u8>,
    /// What has come of the body.
    pub(super) body: Vec<u8>,
}

impl Partial {
    /// Whether nothing is missing any more.
    pub(super) fn is_complete(&mut self) -> bool {
        let header = ContentHeader::decode(&self.header);
        header.is_ok_and(|header| header.body_size == self.body.len() as u64)
    }
}
