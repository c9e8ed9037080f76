//! A tree that is open: its header, and the chains started on it.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use chainring::buf::{AlignedBuf, IoBuf as _};
use chainring::chains::{ChainError, ErrorKind, Spawner};
use chainring::fs::{File, OpenOptions};

use crate::chain::{self, Keys, Point};
use crate::format::{Header, PAGE};
use crate::range::{self, Found, Range};
use crate::{Error, TreeArgs};

pub(crate) struct Tree {
    name: String,
    file: File,
    pub(crate) header: Header,
    depth: u32,
    point: Point<Batch>,
    points: Spawner<Batch>,
    range: Range,
    ranges: Spawner<Found>,
}

/// Keys that several frames work off, and what they have found, in the order asked for.
struct Batch {
    /// Which one this frame has in hand.
    at: usize,
    all: Rc<RefCell<Work>>,
}

struct Work {
    keys: Vec<u64>,
    begun: usize,
    values: Vec<Option<u64>>,
}

impl Keys for Batch {
    fn next(&mut self) -> Option<u64> {
        let work = &mut *self.all.borrow_mut();
        let key = work.keys.get(work.begun).copied()?;
        self.at = work.begun;
        work.begun += 1;
        Some(key)
    }

    fn found(&mut self, _: u64, value: Option<u64>) {
        self.all.borrow_mut().values[self.at] = value;
    }
}

impl Tree {
    pub(crate) async fn open(args: &TreeArgs) -> Result<Tree, Error> {
        let name = args.file.display().to_string();
        let told = |error: io::Error| format!("{name}: {error}");
        let file = OpenOptions::new().read(true).direct(args.direct).open(&args.file).await.map_err(told)?;
        // Aligned, for O_DIRECT.
        let (result, page) = file.read_at(AlignedBuf::new(PAGE)?, 0).await;
        result.map_err(told)?;
        let header = Header::of_page(page.as_bytes()).ok_or_else(|| format!("{name}: is not a tree"))?;
        let (point, range) = (chain::point()?, range::range()?);
        let depth = args.depth.get();
        let points = point.program.start(depth)?;
        let ranges = range.program.start(1)?;
        Ok(Tree { name, file, header, depth, point, points, range, ranges })
    }

    /// The values of keys. As many lookups are under way at a time as the depth says.
    pub(crate) async fn get(&self, keys: Vec<u64>) -> Result<Vec<Option<u64>>, Error> {
        let (values, depth) = (vec![None; keys.len()], keys.len().min(self.depth as usize));
        let all = Rc::new(RefCell::new(Work { keys, begun: 0, values }));
        let Point { file, root, top, .. } = self.point;
        let mut frames = Vec::new();
        for _ in 0..depth {
            let own = self.own()?;
            let frame = self.points.spawn(Batch { at: 0, all: all.clone() }, |frame| {
                frame.file(file, own).set(root, self.header.root).set(top, self.header.top);
            });
            frames.push(frame.map_err(|_| "there is no memory for a frame")?);
        }
        for frame in frames {
            frame.await.result.map_err(|error| self.words(&error))?;
        }
        let values = std::mem::take(&mut all.borrow_mut().values);
        Ok(values)
    }

    /// Keys and values from one key to another, both included.
    pub(crate) async fn range(&self, from: u64, to: u64, limit: u64) -> Result<Vec<(u64, u64)>, Error> {
        let found = Found { pairs: Vec::new(), limit: usize::try_from(limit).unwrap_or(usize::MAX) };
        let own = self.own()?;
        let frame = self.ranges.spawn(found, |frame| {
            frame.file(self.range.file, own).set(self.range.root, self.header.root);
            frame.set(self.range.top, self.header.top).set(self.range.from, from).set(self.range.to, to);
        });
        let exit = frame.map_err(|_| "there is no memory for a frame")?.await;
        exit.result.map_err(|error| self.words(&error))?;
        Ok(exit.session.pairs)
    }

    /// A frame owns its descriptor.
    fn own(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into_std()?.into())
    }

    fn words(&self, error: &ChainError) -> String {
        match error.kind() {
            ErrorKind::Ensure(_) | ErrorKind::Short { .. } => format!("{}: the tree is damaged", self.name),
            ErrorKind::Errno(errno) => format!("{}: {}", self.name, io::Error::from_raw_os_error(*errno)),
            _ => format!("{}: the tree is damaged: {error}", self.name),
        }
    }
}
