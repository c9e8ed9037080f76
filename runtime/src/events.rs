//! Events for `tracing`, and nothing at all without that feature. None is on the path of an operation.

/// Something that happens in the normal life of a runtime.
macro_rules! debug {
    ($($argument:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "chainring", $($argument)*);
    };
}

/// Something that a user may have to do something about.
macro_rules! warning {
    ($($argument:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "chainring", $($argument)*);
    };
}

pub(crate) use {debug, warning};
