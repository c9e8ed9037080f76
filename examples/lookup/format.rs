//! The file: pages of 4 KiB, of numbers in little-endian order.
//!
//! Page 0 says what there is. Every other page is a node: up to 255 keys in ascending order, and as many values. Those of a
//! leaf (level 0) are what was stored; those of an inner node are the pages of its children, each under the smallest key in
//! it. So one search does for both: the last key that is not greater.
//!
//! | bytes of a node | |
//! |---|---|
//! | 0..2 | its level |
//! | 2..4 | how many keys it has |
//! | 8..16 | of a leaf: the page of the next one, or 0 |
//! | 16.. | the keys; the places of those that are not there hold the greatest number |
//! | 2056.. | the values |

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;
/// Keys of a node at most.
pub(crate) const FANOUT: usize = 255;
/// Where the keys of a node begin, and the values.
pub(crate) const KEYS: usize = 16;
pub(crate) const VALUES: usize = KEYS + FANOUT * 8;

const MAGIC: [u8; 8] = *b"ringtree";

/// What page 0 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) keys: u64,
    pub(crate) pages: u64,
    /// The page of the topmost node, and its level.
    pub(crate) root: u64,
    pub(crate) top: u64,
}

impl Header {
    pub(crate) fn page(&self) -> Vec<u8> {
        let mut page = vec![0; PAGE];
        page[..8].copy_from_slice(&MAGIC);
        let numbers = [self.keys, self.pages, self.root, self.top];
        for (place, number) in page[8..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        page
    }

    /// `None` if it is not the first page of a tree.
    pub(crate) fn of_page(page: &[u8]) -> Option<Header> {
        let numbers = page.strip_prefix(&MAGIC)?;
        let mut numbers =
            numbers.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap_or_default()));
        let mut next = || numbers.next();
        let header = Header { keys: next()?, pages: next()?, root: next()?, top: next()? };
        (header.root < header.pages && header.top < 16).then_some(header)
    }
}

/// Gives all pages of a tree of these pairs, in ascending order of their keys, to `put`: from page 1 on, in order.
pub(crate) fn pages<E>(
    pairs: &[(u64, u64)],
    mut put: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Header, E> {
    let keys = pairs.len() as u64;
    let mut next_page = 1;
    let mut level = pairs.to_vec();
    for top in 0.. {
        let mut above = Vec::with_capacity(level.len().div_ceil(FANOUT));
        // A tree of nothing is an empty leaf.
        let nodes = level.len().div_ceil(FANOUT).max(1);
        for number in 0..nodes {
            let pairs = &level[number * FANOUT..level.len().min((number + 1) * FANOUT)];
            let next = if top == 0 && number + 1 < nodes { next_page + 1 } else { 0 };
            put(&node(top, next, pairs))?;
            above.push((pairs.first().map_or(0, |pair| pair.0), next_page));
            next_page += 1;
        }
        if nodes == 1 {
            return Ok(Header { keys, pages: next_page, root: next_page - 1, top: u64::from(top) });
        }
        level = above;
    }
    unreachable!("a level has fewer nodes than the one below")
}

fn node(level: u16, next: u64, pairs: &[(u64, u64)]) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    page[..2].copy_from_slice(&level.to_le_bytes());
    page[2..4].copy_from_slice(&(pairs.len() as u16).to_le_bytes());
    page[8..16].copy_from_slice(&next.to_le_bytes());
    page[KEYS..VALUES].fill(0xff);
    for (at, (key, value)) in pairs.iter().enumerate() {
        page[KEYS + at * 8..][..8].copy_from_slice(&key.to_le_bytes());
        page[VALUES + at * 8..][..8].copy_from_slice(&value.to_le_bytes());
    }
    page
}
