//! What all steps that are operations have in common.

use chainring_runtime::frame::Verb;

use super::super::Chain;
use crate::handle::{Place, Reg, Span};
use crate::tree::{IoStep, Kind, OnEnd, Step};

impl IoStep {
    pub(super) fn new(verb: Verb, place: Place, spans: impl IntoIterator<Item = Span>) -> Self {
        let spans = spans.into_iter().collect();
        IoStep {
            verb,
            place,
            spans,
            position: None,
            amount: None,
            open: None,
            outbox: None,
            second: None,
            passes: None,
            directory: None,
            target: None,
            into: None,
            on_end: OnEnd::Error,
        }
    }
}

impl<S: 'static> Chain<S> {
    pub(super) fn io(&mut self, name: &'static str, io: IoStep) -> TransferStep<'_> {
        TransferStep { step: self.push(name, Kind::Io(io)) }
    }
}

impl IntoIterator for Span {
    type Item = Span;
    type IntoIter = std::iter::Once<Span>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
}

/// A transfer that was just added, to be qualified.
#[derive(Debug)]
pub struct TransferStep<'c> {
    pub(super) step: &'c mut Step,
}

impl TransferStep<'_> {
    pub(super) fn io(&mut self) -> &mut IoStep {
        match &mut self.step.kind {
            Kind::Io(io) => io,
            _ => unreachable!("made by `Chain::io` only"),
        }
    }

    /// Puts the number of bytes into a register.
    #[allow(
        clippy::should_implement_trait,
        clippy::wrong_self_convention,
        reason = "a chain reads as steps: `recv(...).into(reg)`"
    )]
    pub fn into(mut self, reg: Reg) -> Self {
        self.io().into = Some(reg);
        self
    }

    /// The end of the stream, or of the file, before the first byte ends the frame with success.
    pub fn or_finish(mut self) -> Self {
        self.io().on_end = OnEnd::Finish;
        self
    }
}
