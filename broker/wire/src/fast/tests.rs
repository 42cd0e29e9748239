//! Scans and templates against the general codec.
