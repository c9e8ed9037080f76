//! Several buffers, less what was sent already.

use chainring_runtime::buf::IoVecBuf;

/// Buffers of which the first bytes are left out.
#[derive(Debug)]
pub(crate) struct Rest<B> {
    pub(crate) of: B,
    pub(crate) skipped: usize,
}

impl<B: IoVecBuf> IoVecBuf for Rest<B> {
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut skip = self.skipped;
        self.of.parts().filter_map(move |part| {
            let here = skip.min(part.len());
            skip -= here;
            let rest = &part[here..];
            (!rest.is_empty()).then_some(rest)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_left_out_of_the_parts() {
        let of = vec!["abc", "", "de", "f"];
        let parts = |skipped| -> Vec<Vec<u8>> {
            Rest { of: of.clone(), skipped }.parts().map(<[u8]>::to_vec).collect()
        };
        assert_eq!(parts(0), [&b"abc"[..], b"de", b"f"]);
        assert_eq!(parts(2), [&b"c"[..], b"de", b"f"]);
        assert_eq!(parts(3), [&b"de"[..], b"f"]);
        assert_eq!(parts(6), [&b""[..]; 0]);
    }
}
