//! A value that its owner has not agreed to show.

use std::fmt;

/// A raw value on its way to a randomizer.
///
/// It cannot be serialized and its `Debug` form is redacted, so that a raw value can reach a file, a log or a socket only
/// through [`Private::expose`], whose few call sites a test lists.
///
/// ```compile_fail
/// let secret = hubbub_privacy::Private::new(3u32);
/// serde_json::to_string(&secret).unwrap(); // `Private` has no serialization
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Private<T>(T);

impl<T> Private<T> {
    /// Hides `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Opens the value. Only the randomizer, the tally store and the owner's own view may call this.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        assert_eq!(format!("{:?}", Private::new("secret")), "Private(…)");
        assert_eq!(format!("{:?}", Some(Private::new(42))), "Some(Private(…))");
    }
}
