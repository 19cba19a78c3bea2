//! Nothing: this package exists for its tests in `system/`.
