//! Steps on the names of files.

use chainring_runtime::frame::Verb;

use super::super::Chain;
use super::io::TransferStep;
use crate::handle::{File, Place, Span};
use crate::tree::IoStep;

/// What has no place: the verb does not look at it.
const NOWHERE: u16 = 0;

impl<S: 'static> Chain<S> {
    /// Does nothing, by way of the kernel: others have their turn.
    pub fn nop(&mut self) {
        let nowhere = self.nowhere();
        self.io("nop", IoStep::new(Verb::Nop, nowhere, None));
    }

    /// Gives the file `from` the name `to`, in one step for whoever looks (rename(2)). What had that name before is gone.
    /// Both are paths as [`open`](Chain::open) takes them, and start in the working directory unless the step says
    /// otherwise. The steps behind it are a submission of their own: the kernel would start them although it failed.
    pub fn rename(&mut self, from: Span, to: Span) -> RenameStep<'_> {
        let (nowhere, target) = (self.nowhere(), Some((None, to)));
        RenameStep(self.io("rename", IoStep { target, ..IoStep::new(Verb::Rename, nowhere, from) }))
    }

    /// Removes the name of a file (unlink(2)), a path as [`open`](Chain::open) takes it. The steps behind it are a
    /// submission of their own, as behind [`rename`](Chain::rename).
    pub fn unlink(&mut self, path: Span) -> UnlinkStep<'_> {
        let nowhere = self.nowhere();
        UnlinkStep(self.io("unlink", IoStep::new(Verb::Unlink, nowhere, path)))
    }

    /// Removes an empty directory (rmdir(2)), as [`unlink`](Chain::unlink) does a file.
    pub fn remove_dir(&mut self, path: Span) -> UnlinkStep<'_> {
        let nowhere = self.nowhere();
        UnlinkStep(self.io("remove_dir", IoStep::new(Verb::RemoveDir, nowhere, path)))
    }

    fn nowhere(&self) -> Place {
        Place { builder: self.id, index: NOWHERE, file: false }
    }
}

/// A `rename` that was just added, to be qualified. The directories are where the paths start; a path can lead out of them.
#[derive(Debug)]
pub struct RenameStep<'c>(TransferStep<'c>);

impl RenameStep<'_> {
    /// The old path starts in this directory.
    pub fn from_directory(mut self, directory: File) -> Self {
        self.0.io().directory = Some(directory.0);
        self
    }

    /// The new path starts in this directory.
    pub fn to_directory(mut self, directory: File) -> Self {
        if let Some((at, _)) = &mut self.0.io().target {
            *at = Some(directory.0);
        }
        self
    }
}

/// An `unlink` or `remove_dir` that was just added, to be qualified.
#[derive(Debug)]
pub struct UnlinkStep<'c>(TransferStep<'c>);

impl UnlinkStep<'_> {
    /// The path starts in this directory, and can lead out of it.
    pub fn in_directory(mut self, directory: File) -> Self {
        self.0.io().directory = Some(directory.0);
        self
    }
}
