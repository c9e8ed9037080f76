//! Part of chainring.
