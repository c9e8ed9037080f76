//! chainring.
