//! Commands: a name and arguments, wherever their bytes lie.

use std::ops::Range;

use super::sink::Proto;

/// Where the bytes of an argument are.
#[derive(Debug)]
pub(crate) enum Arg {
    /// In the bytes that were last fed.
    Fed(Range<usize>),
    /// Among those that the parser, or the batch, keeps.
    Kept(Range<usize>),
    /// In memory of their own, because they are many.
    Large(Vec<u8>),
    /// Nowhere: there was no memory for them.
    Refused,
}

/// One whole command. Its first argument is its name.
#[derive(Debug)]
pub(crate) struct Command<'c> {
    pub(super) fed: &'c [u8],
    pub(super) kept: &'c [u8],
    pub(super) args: &'c mut [Arg],
}

impl Command<'_> {
    /// How many arguments it has, its name included.
    pub(crate) fn len(&self) -> usize {
        self.args.len()
    }

    /// Argument `i`.
    ///
    /// # Panics
    /// If there are not as many.
    #[inline(always)]
    pub(crate) fn arg(&self, i: usize) -> &[u8] {
        match &self.args[i] {
            Arg::Fed(range) => &self.fed[range.clone()],
            _ => self.elsewhere(i),
        }
    }

    /// The same for arguments that do not lie in what was fed, as most do.
    #[inline(never)]
    fn elsewhere(&self, i: usize) -> &[u8] {
        match &self.args[i] {
            Arg::Fed(range) => &self.fed[range.clone()],
            Arg::Kept(range) => &self.kept[range.clone()],
            Arg::Large(bytes) => bytes,
            Arg::Refused => &[],
        }
    }

    /// All arguments behind the first `skipped`.
    pub(crate) fn args_from(&self, skipped: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        (skipped..self.len()).map(|i| self.arg(i))
    }

    /// The bytes of argument `i` as a vector: a copy, unless they lie in one already, which is taken out.
    pub(crate) fn take(&mut self, i: usize) -> Vec<u8> {
        match &mut self.args[i] {
            Arg::Large(bytes) => std::mem::take(bytes),
            _ => self.arg(i).to_vec(),
        }
    }

    /// The same for an argument that lies in a vector of its own, and only then.
    pub(crate) fn take_large(&mut self, i: usize) -> Option<Vec<u8>> {
        match &mut self.args[i] {
            Arg::Large(bytes) => Some(std::mem::take(bytes)),
            _ => None,
        }
    }

    /// Whether there was memory for all of it.
    pub(crate) fn is_whole(&self) -> bool {
        !self.args.iter().any(|arg| matches!(arg, Arg::Refused))
    }

    /// The bytes that have to be copied if they are to last.
    pub(crate) fn copied(&self) -> usize {
        let copied = |arg: &Arg| match arg {
            Arg::Fed(range) | Arg::Kept(range) => range.len(),
            Arg::Large(_) | Arg::Refused => 0,
        };
        self.args.iter().map(copied).sum()
    }
}

/// Commands on their way to another core: they own what they say.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    kept: Vec<u8>,
    args: Vec<Arg>,
    /// Where the arguments of each command end, and how it is to be answered.
    ends: Vec<(usize, Proto)>,
}

impl Batch {
    /// Appends a command that has these arguments of `command`, the name first. Large ones are taken out of it, unless
    /// they are to `stay`.
    pub(crate) fn push(
        &mut self,
        command: &mut Command<'_>,
        args: impl Iterator<Item = usize>,
        proto: Proto,
        stay: bool,
    ) {
        for i in args {
            let arg = match &mut command.args[i] {
                Arg::Large(bytes) if stay => Arg::Large(bytes.clone()),
                Arg::Large(bytes) => Arg::Large(std::mem::take(bytes)),
                Arg::Refused => Arg::Refused,
                Arg::Fed(_) | Arg::Kept(_) => {
                    let start = self.kept.len();
                    self.kept.extend_from_slice(command.arg(i));
                    Arg::Kept(start..self.kept.len())
                }
            };
            self.args.push(arg);
        }
        self.ends.push((self.args.len(), proto));
    }

    /// Whether there is no command in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Does something with each command, in order.
    pub(crate) fn for_each(&mut self, mut body: impl FnMut(Command<'_>, Proto)) {
        let mut start = 0;
        for &(end, proto) in &self.ends {
            body(Command { fed: &[], kept: &self.kept, args: &mut self.args[start..end] }, proto);
            start = end;
        }
    }
}
