//! The chain of a point lookup: one read a level, each at the place that the one before has told.

use chainring::chains::{Buf, BuildError, Chain, Expr, File, Flow, Order, Program, Reg, reg, value};

use super::format::{FANOUT, KEYS, PAGE, VALUES};

/// What a frame looks up, one after the other.
pub(crate) trait Keys: 'static {
    /// The next key; `None` ends the frame.
    fn next(&mut self) -> Option<u64>;

    /// The value of the key that was asked for last, if there is one.
    fn found(&mut self, key: u64, value: Option<u64>);
}

/// The program, and what each frame of it has to be given: the file, the page of the topmost node, and its level.
pub(crate) struct Point<S> {
    pub(crate) program: Program<S>,
    pub(crate) file: File,
    pub(crate) root: Reg,
    pub(crate) top: Reg,
}

/// Where a descent is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) node: Buf,
    pub(crate) page: Reg,
    pub(crate) level: Reg,
    pub(crate) count: Reg,
    /// How many keys of the node are not greater than the one looked for.
    pub(crate) at: Reg,
}

impl Place {
    pub(crate) fn new<S: 'static>(c: &mut Chain<S>) -> Place {
        let node = c.buffer(PAGE as u32);
        let [page, level, count, at] = [(); 4].map(|()| c.reg());
        Place { node, page, level, count, at }
    }

    /// Reads the node, and refuses what cannot be one.
    pub(crate) fn read<S: 'static>(&self, c: &mut Chain<S>, file: File) {
        c.read_exact_at(file, self.node.all(), self.page * PAGE as u64);
        c.set(self.count, self.node.le16(2));
        c.ensure(self.node.le16(0).eq(self.level) & self.count.le(FANOUT as u64), libc::EBADMSG);
    }

    /// Searches the node by halves.
    pub(crate) fn search<S: 'static>(&self, c: &mut Chain<S>, key: Reg) {
        let Place { node, count, at, .. } = *self;
        let keys = node.range(KEYS as u32..VALUES as u32);
        c.set(at, keys.partition_le(Order::Le64, 8, key));
        // The places that hold no key look like the greatest.
        c.when(at.gt(count), |c| c.set(at, count));
    }

    /// The last key that is not greater, and its value. There has to be one.
    pub(crate) fn key(&self) -> Expr {
        self.node.le64((self.at << 3) + (KEYS as u64 - 8))
    }

    pub(crate) fn value(&self) -> Expr {
        self.node.le64((self.at << 3) + (VALUES as u64 - 8))
    }
}

pub(crate) fn point<S: Keys>() -> Result<Point<S>, BuildError> {
    let mut c = Chain::<S>::new("point");
    let (file, root, top) = (c.file(), c.param(), c.param());
    let (key, found, result) = (c.reg(), c.reg(), c.reg());
    let place = Place::new(&mut c);
    let next = |keys: &mut S, key: &mut u64| match keys.next() {
        Some(next) => {
            *key = next;
            Flow::Next
        }
        None => Flow::Finish,
    };
    c.call((reg(key),), move |keys, (key,)| next(keys, key));
    c.repeat(|c| {
        c.set(found, 0);
        c.set(result, 0);
        c.set(place.page, root);
        c.set(place.level, top);
        c.repeat(|c| {
            place.read(c, file);
            place.search(c, key);
            c.when(place.at.eq(0), |c| c.leave());
            c.when(place.level.eq(0), |c| {
                c.set(found, place.key().eq(key));
                c.set(result, place.value());
                c.leave();
            });
            c.set(place.page, place.value());
            c.set(place.level, place.level - 1);
        });
        c.call((reg(key), value(found), value(result)), move |keys, (key, found, result)| {
            keys.found(*key, (found != 0).then_some(result));
            next(keys, key)
        });
    });
    Ok(Point { program: c.build()?, file, root, top })
}
