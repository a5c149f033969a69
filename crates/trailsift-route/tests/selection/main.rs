//! Selection as its users see it: specifications in, routes for records out.

mod common;
mod faults;
mod oracle;
mod selectors;
