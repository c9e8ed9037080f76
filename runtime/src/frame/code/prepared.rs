//! What of a search is known before it runs: the shortest way of what most protocols do.

use memchr::memmem::Finder;

use super::{Area, Bulk, Code};
use crate::frame::layout::Layout;
use crate::frame::plan::Len;

/// For each [`Bulk`] of checked code what was found out beforehand.
pub(in crate::frame) struct Prepared(Box<[Known]>);

/// What is known of one of them.
pub(super) enum Known {
    /// It looks for the same bytes each time, in bytes of the frame.
    Find {
        to: u16,
        spot: Spot,
        search: Finder<'static>,
    },
    /// It looks for the same bytes each time.
    FindElsewhere(Finder<'static>),
    Nothing,
}

/// An [`Area`] of the frame's bytes: what it does not have is the word of the control record that is always zero.
pub(super) struct Spot {
    pub(super) offset: u32,
    pub(super) room: u32,
    /// The word that is added to the start.
    pub(super) start: u16,
    /// The word that is the length, or else zero.
    pub(super) len: u16,
    /// The length, if it is fixed, or else 0.
    pub(super) fixed: u32,
}

impl Spot {
    fn of(area: &Area, layout: &Layout) -> Option<Spot> {
        let Area { offset, start, room, len, constant: false, pooled: None } = *area else { return None };
        let zero = layout.zero_word() as u16;
        let (len, fixed) = match len {
            Len::Fixed(fixed) => (zero, fixed),
            Len::Register { index, plus: 0, .. } => (index, 0),
            Len::Register { .. } => return None,
        };
        Some(Spot { offset, room, start: start.unwrap_or(zero), len, fixed })
    }
}

/// The constants that an area always is, if it is always the same.
fn constants(area: &Area) -> Option<(u32, u32)> {
    match *area {
        Area { constant: true, start: None, offset, len: Len::Fixed(len), room, .. } if len <= room => {
            Some((offset, len))
        }
        _ => None,
    }
}

impl Prepared {
    /// For code that was checked against this layout and so many constants.
    pub(in crate::frame) fn new(code: &Code, layout: &Layout, bytes: &[u8]) -> Prepared {
        let search = |area: &Area| {
            let (from, len) = constants(area)?;
            Some(Finder::new(&bytes[from as usize..][..len as usize]).into_owned())
        };
        let known = |bulk: &Bulk| match *bulk {
            Bulk::FindBytes { to, area, bytes } => match (search(&bytes), Spot::of(&area, layout)) {
                (Some(search), Some(spot)) => Known::Find { to, spot, search },
                (Some(search), None) => Known::FindElsewhere(search),
                (None, _) => Known::Nothing,
            },
            _ => Known::Nothing,
        };
        Prepared(code.bulk.iter().map(known).collect())
    }

    /// The search of this number, if it is known what is looked for.
    pub(super) fn search(&self, number: u16) -> Option<&Finder<'static>> {
        match self.0.get(usize::from(number))? {
            Known::Find { search, .. } | Known::FindElsewhere(search) => Some(search),
            _ => None,
        }
    }

    /// What is known of each number.
    #[inline(always)]
    pub(super) fn known(&self) -> &[Known] {
        &self.0
    }
}
