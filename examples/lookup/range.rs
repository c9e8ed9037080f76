//! The chain of a range lookup: down to the leaf where the range begins, and on from leaf to leaf.

use chainring::chains::{BuildError, Chain, File, Flow, Program, Reg, read, reg, value};

use crate::chain::Place;
use crate::format::{KEYS, VALUES};

/// What a range lookup has found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) pairs: Vec<(u64, u64)>,
    pub(crate) limit: usize,
}

/// The program, and what each frame of it has to be given.
pub(crate) struct Range {
    pub(crate) program: Program<Found>,
    pub(crate) file: File,
    pub(crate) root: Reg,
    pub(crate) top: Reg,
    pub(crate) from: Reg,
    pub(crate) to: Reg,
}

pub(crate) fn range() -> Result<Range, BuildError> {
    let mut c = Chain::<Found>::new("range");
    let (file, root, top, from, to) = (c.file(), c.param(), c.param(), c.param(), c.param());
    let place = Place::new(&mut c);
    c.set(place.page, root);
    c.set(place.level, top);
    c.repeat(|c| {
        place.read(c, file);
        place.search(c, from);
        c.when(place.level.eq(0), |c| c.leave());
        // Where all keys are greater the range begins in the first child.
        c.when(place.at.eq(0), |c| c.set(place.at, 1));
        c.set(place.page, place.value());
        c.set(place.level, place.level - 1);
    });
    // The key itself belongs to it.
    c.when(place.at.gt(0), |c| c.set(place.at, place.at - place.key().eq(from)));
    c.repeat(|c| {
        let access =
            (read(place.node.all()), value(place.at), value(place.count), value(to), reg(place.page));
        c.call(access, |found, (node, at, count, to, next)| take(found, node, at..count, to, next));
        c.when(place.page.eq(0), |c| c.finish());
        place.read(c, file);
        c.set(place.at, 0);
    });
    Ok(Range { program: c.build()?, file, root, top, from, to })
}

/// Takes what of a leaf belongs to the range, and says which page is next: 0 if none.
fn take(found: &mut Found, node: &[u8], places: std::ops::Range<u64>, to: u64, next: &mut u64) -> Flow {
    let number = |at: usize| u64::from_le_bytes(node[at..at + 8].try_into().expect("eight bytes"));
    *next = 0;
    for at in places {
        let (key, value) = (number(KEYS + at as usize * 8), number(VALUES + at as usize * 8));
        if key > to || found.pairs.len() == found.limit {
            return Flow::Next;
        }
        // Otherwise leaves that are linked to a circle would never end.
        if found.pairs.last().is_some_and(|(last, _)| *last >= key) {
            return Flow::fail("its keys are not in order");
        }
        found.pairs.push((key, value));
    }
    *next = number(8);
    Flow::Next
}
